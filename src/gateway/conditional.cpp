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

bool names_tag(std::string_view list, std::string_view tag, Compare compare) noexcept {
  if (tag.empty()) return false;
  std::string_view rest = trim(list);
  if (rest == "*") return true;
  while (!rest.empty()) {
    const bool weak = rest.substr(0, 2) == "W/";
    if (weak) rest.remove_prefix(2);
    if (rest.empty() || rest.front() != '"') return false;
    const std::size_t close = rest.find('"', 1);
    if (close == std::string_view::npos) return false;
    if (rest.substr(0, close + 1) == tag && (!weak || compare == Compare::kWeak)) return true;
    rest = trim(rest.substr(close + 1));
    if (!rest.empty() && rest.front() != ',') return false;
    while (!rest.empty() && (rest.front() == ',' || rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  }
  return false;
}

}  // namespace setget::inline v0::detail
