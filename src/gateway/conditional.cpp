#include "gateway/conditional.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gateway/media_type.hpp"

namespace setget::inline v0::detail {

std::string entity_tag(const Record& record, Representation representation, Tier tier) {
  const Digest identity = digest_of(record.id);
  std::string_view form;
  if (representation == Representation::kEnvelope) form = tier == Tier::kArchive ? ".envelope.archive" : ".envelope";
  // Each record that is sent has one: put together by hand.
  std::array<char, 96> text;  // two numbers of 20 digits, one of 16, the form, and five marks
  const fmt::format_int version(record.version);
  const fmt::format_int revision(record.revision);
  char* to = text.data();
  const auto put = [&](std::string_view part) { to = std::copy(part.begin(), part.end(), to); };
  put("\"");
  put({version.data(), version.size()});
  put(".");
  put({revision.data(), revision.size()});
  put(".");
  for (int shift = 60; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[(identity.low >> shift) & 15];
  put(form);
  put("\"");
  return {text.data(), to};
}

std::string condition_of(const GatewayRequest& request, std::string_view name) {
  std::string list;
  for (const auto& [field, value] : request.headers) {
    if (!equals_ignoring_case(field, name) || trim(value).empty()) continue;
    if (!list.empty()) list += ", ";
    list += value;
  }
  return list;
}

bool names_tag(std::string_view list, std::string_view tag, Compare compare) noexcept {
  if (tag.empty()) return false;
  std::string_view rest = list;
  for (;;) {
    // A list may have empty members.
    while (!rest.empty() && (rest.front() == ',' || rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    if (rest.empty()) return false;
    const bool any = rest.front() == '*';
    const bool weak = rest.starts_with("W/");
    if (weak) rest.remove_prefix(2);
    if (!any && !rest.starts_with('"')) return false;
    const std::size_t last = any ? 0 : rest.find('"', 1);
    if (last == std::string_view::npos) return false;
    const std::string_view member = rest.substr(0, last + 1);
    rest = trim(rest.substr(last + 1));
    if (!rest.empty() && rest.front() != ',') return false;
    if (any || (member == tag && (!weak || compare == Compare::kWeak))) return true;
  }
}

}  // namespace setget::inline v0::detail
