// W3C Trace Context (www.w3.org/TR/trace-context): the traceparent that travels with a message.
// Thread rule: pure.
#pragma once

#include <string>
#include <string_view>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

// Section 3.2: version, trace-id, parent-id and flags in lower-case hex; zero ids and version ff are invalid; later versions may be longer.
bool is_traceparent(std::string_view text) noexcept;
// A fresh trace, not sampled: whoever samples is upstream.
std::string make_traceparent(Random& random);

}  // namespace setget::inline v0::detail
