// What one change of a store of many parts is, and how far it is (store_phases.hpp). Thread rule: one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "redis/store_phases.hpp"

namespace setget::inline v0::redis {

struct Phases::Plan {
  // What is asked for.
  std::vector<std::string> names{};  // read ahead of time
  std::string own{};                 // qualified name of the identity whose entry is the commit point; empty: none
  std::function<Result<void>(Overlay&, Stamp floor, bool landed)> work{};
  std::vector<std::string> claims{};  // the keys whose claims are written ahead: qualified names
  PendingClaim claim{};
  std::function<bool()> claims_ahead{};  // whether the decision needs that
  bool look_again = false;               // decide once more when the commit point is written
  bool keys_first = false;               // the record last: for what readers see as gone anyway
  bool own_last = false;                 // `own` is a key that says whose records end: it forgets them only when they have
  Stamp floor_override = 0;
  bool ignore_floor = false;

  // How far it is.
  Phase phase = Phase::kRead;
  std::unique_ptr<Overlay> overlay{};
  std::optional<PartMeta> meta{};
  std::unordered_map<std::string, Payload> ahead{};  // entries as earlier phases left them, where that is not what they are to be
  std::set<std::string> late{};                      // entries whose key is written last, apart from their identity
  std::vector<CommitCall> calls{};
  std::vector<std::pair<std::size_t, std::string>> wrote{};  // first phase: which call wrote which name
  std::size_t answered = 0;
  bool conflict = false;
  bool landed = false;                  // the record is written; what follows must come to an end
  std::vector<std::string> given_up{};  // once it has landed: the keys that this changes
  bool unsure = false;                  // a step of the commit point whose reply was lost
  std::string marker{};
  std::optional<Error> failed{};
  std::function<void()> keep{};    // the decision is final
  std::function<void()> settle{};  // an earlier attempt turned out to have been carried out
  unsigned attempts = 0;

  bool open() const noexcept { return phase != Phase::kDone; }
};

}  // namespace setget::inline v0::redis
