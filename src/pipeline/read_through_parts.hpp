// What a ReadThrough keeps of gets, of names that are asked for, and of questions. Thread rule: under its lock.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/read_through.hpp"

namespace setget::inline v0::detail {

// A get that waits for answers.
struct ReadThrough::Call {
  std::vector<Found> found;
  std::size_t open = 0;  // answers that it still waits for
  Done done;
  std::optional<Timers::iterator> timer{};
  bool ended = false;
};

// A name that is being asked for, and who wants to know.
struct ReadThrough::Flight {
  std::string full;  // its name in flights_
  std::string name;
  std::vector<std::pair<std::shared_ptr<Call>, std::size_t>> waiters{};
  bool set_meanwhile = false;
};

// One question to the archive. It has a timer until it is over.
struct ReadThrough::Job {
  bool by_id = false;
  std::string ns;
  std::vector<std::shared_ptr<Flight>> flights{};
  Moment limit{};
  std::optional<Timers::iterator> timer{};
  bool answered = false;  // by the archive; what takes time now is the store
  bool over = false;
};

struct ReadThrough::Ended {
  std::shared_ptr<Call> call;
  Result<std::vector<Found>> result;
};

// What taking a call came to: metrics are told outside of the lock.
struct ReadThrough::Tally {
  std::size_t shared = 0;
  std::size_t remembered = 0;
  std::string_view refused{};
};

// The archive's answers, one for each flight of a job.
struct ReadThrough::Asked {
  std::vector<Result<Lookup>> lookups;
  std::optional<Error> away{};
};

}  // namespace setget::inline v0::detail
