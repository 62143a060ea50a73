// The named cursors of a change log: who has read how far. Positions rise by one with every change, so a lag is a difference.
// Thread rule: the caller holds the lock of the database.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <setget/key_store.hpp>

namespace setget::inline v0::memory::detail {

class Cursors {
 public:
  // `oldest`: the position before the first entry that is still there; `last`: the latest position given.
  CursorInfo open(const OpenCursor& request, Position oldest, Position last, TimePoint now);
  // Errors: kNotFound; kFailedPrecondition where it was dropped.
  Result<Position> position(std::string_view name) const;
  Result<void> commit(std::string_view name, Position position, Position last, TimePoint now);
  Result<void> drop(std::string_view name);
  std::vector<CursorInfo> list(Position last) const;
  // Drops those that have fallen behind their limit.
  void enforce_limits(Position last);
  // The position that every cursor has passed; `last` where there are none.
  Position passed(Position last) const;

 private:
  static CursorInfo with_lag(CursorInfo info, Position last);
  std::map<std::string, CursorInfo, std::less<>> cursors_;
};

}  // namespace setget::inline v0::memory::detail
