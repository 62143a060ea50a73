// Conditional requests (RFC 9110 section 13): entity tags of records and the lists that clients send.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <setget/gateway.hpp>
#include <setget/reader.hpp>

namespace setget::inline v0::detail {

// What of a record a response shows: both have their own bytes, so their own tag.
enum class Representation : bool { kPayload, kEnvelope };

// Strong: names identity, version and revision. A key that moved to another record gives another tag even where versions agree.
// An envelope also says which tier answered, so that is part of its tag.
std::string entity_tag(const Record& record, Representation representation, Tier tier);

// All lines of that name as the one list that they are (RFC 9110 section 5.3); empty if there is none.
std::string condition_of(const GatewayRequest& request, std::string_view name);

enum class Compare : bool { kStrong, kWeak };
// True if `list` names `tag`: it is one of its members, or "*" is. An empty tag stands for "nothing is there": not even "*" names it.
bool names_tag(std::string_view list, std::string_view tag, Compare compare) noexcept;

}  // namespace setget::inline v0::detail
