// Conditional requests (RFC 9110 section 13): entity tags of records and the lists that clients send.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <setget/reader.hpp>

namespace setget::inline v0::detail {

// What of a record a response shows: both have their own bytes, so their own tag.
enum class Representation : bool { kPayload, kEnvelope };

// Strong: names identity, version and revision. A key that moved to another record gives another tag even where versions agree.
// An envelope also says which tier answered, so that is part of its tag.
std::string entity_tag(const Record& record, Representation representation, Tier tier);

enum class Compare : bool { kStrong, kWeak };
// True if `list` ("*" or a list of tags) names `tag`. An empty tag stands for "nothing is there": not even "*" names it.
bool names_tag(std::string_view list, std::string_view tag, Compare compare) noexcept;

}  // namespace setget::inline v0::detail
