// All names on all masters that match a pattern, a page at a time: never on a regular path. Thread rule: those of the client.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "redis/client.hpp"

namespace setget::inline v0::redis {

struct NameScan {
  std::string pattern;
  std::string_view type{};  // as TYPE says it; empty = any
  std::int64_t step = 500;  // names that the server looks at for a page: a few hundred µs of it
};

// `page` says whether to go on. A name may come twice (SCAN's own rule), also where it moves from one master to another meanwhile; it may
// then also be missed. Errors: those of the client and of `page`, kDeadlineExceeded.
using NamePage = std::function<Result<bool>(std::span<const Reply> names)>;
Result<void> scan_names(Client& client, const NameScan& scan, Deadline deadline, const NamePage& page);

}  // namespace setget::inline v0::redis
