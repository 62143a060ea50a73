#include "memory/cursors.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace setget::inline v0::memory::detail {

namespace {

Error no_such_cursor(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no cursor named \"{}\"", name)).at_field("cursor");
}

Error was_dropped(const CursorInfo& cursor) {
  return Error(ErrorCode::kFailedPrecondition,
               fmt::format("cursor \"{}\" fell more than {} entries behind and was dropped; open it anew", cursor.name, cursor.max_lag))
      .at_field("cursor");
}

}  // namespace

CursorInfo Cursors::with_lag(CursorInfo info, Position last) {
  info.lag = last - info.position;
  return info;
}

CursorInfo Cursors::open(const OpenCursor& request, Position oldest, Position last, TimePoint now) {
  auto& cursor = cursors_[std::string(request.name)];
  const bool fresh = cursor.name.empty() || cursor.dropped;
  if (fresh) {
    cursor.name = std::string(request.name);
    cursor.position = request.from_now ? last : oldest;
    cursor.dropped = false;
    cursor.updated_at = now;
  }
  cursor.max_lag = request.max_lag;
  return with_lag(cursor, last);
}

Result<Position> Cursors::position(std::string_view name) const {
  const auto found = cursors_.find(name);
  if (found == cursors_.end()) return no_such_cursor(name);
  if (found->second.dropped) return was_dropped(found->second);
  return found->second.position;
}

Result<void> Cursors::commit(std::string_view name, Position position, Position last, TimePoint now) {
  const auto found = cursors_.find(name);
  if (found == cursors_.end()) return no_such_cursor(name);
  auto& cursor = found->second;
  if (cursor.dropped) return was_dropped(cursor);
  if (position > last) {
    return Error(ErrorCode::kInvalidArgument, fmt::format("position {} is beyond the end of the change log, {}", position, last))
        .at_field("position");
  }
  cursor.position = std::max(cursor.position, position);
  cursor.updated_at = now;
  return {};
}

Result<void> Cursors::drop(std::string_view name) {
  const auto found = cursors_.find(name);
  if (found == cursors_.end()) return no_such_cursor(name);
  cursors_.erase(found);
  return {};
}

std::vector<CursorInfo> Cursors::list(Position last) const {
  std::vector<CursorInfo> infos;
  for (const auto& [name, cursor] : cursors_) infos.push_back(with_lag(cursor, last));
  return infos;
}

void Cursors::enforce_limits(Position last) {
  for (auto& [name, cursor] : cursors_) {
    if (cursor.max_lag != 0 && last - cursor.position > cursor.max_lag) cursor.dropped = true;
  }
}

Position Cursors::passed(Position last) const {
  for (const auto& [name, cursor] : cursors_) {
    if (!cursor.dropped) last = std::min(last, cursor.position);
  }
  return last;
}

}  // namespace setget::inline v0::memory::detail
