#include "gateway/conditional.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/media_type.hpp"

namespace setget::inline v0::detail {

std::string entity_tag(const Record& record, Representation representation, Tier tier) {
  const Digest identity = digest_of(record.id);
  std::string_view form;
  if (representation == Representation::kEnvelope) form = tier == Tier::kArchive ? ".envelope.archive" : ".envelope";
  // Each record that is sent has one: put together by hand.
  std::string tag;
  tag.reserve(48 + form.size());
  const fmt::format_int version(record.version);
  const fmt::format_int revision(record.revision);
  tag.append(1, '"').append(version.data(), version.size()).append(1, '.').append(revision.data(), revision.size()).append(1, '.');
  for (int shift = 60; shift >= 0; shift -= 4) tag += "0123456789abcdef"[(identity.low >> shift) & 15];
  tag.append(form).append(1, '"');
  return tag;  // what append() returns would be copied
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
