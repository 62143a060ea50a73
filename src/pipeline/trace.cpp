#include "pipeline/trace.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace setget::inline v0::detail {

namespace {

bool is_hex(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return c == '0'; });
}

}  // namespace

bool is_traceparent(std::string_view text) noexcept {
  constexpr std::size_t kSize = 55;  // of version 00
  if (text.size() < kSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const auto version = text.substr(0, 2);
  const auto trace_id = text.substr(3, 32);
  const auto parent_id = text.substr(36, 16);
  if (!is_hex(version) || version == "ff" || !is_hex(trace_id) || !is_hex(parent_id) || !is_hex(text.substr(53, 2))) return false;
  if (is_zero(trace_id) || is_zero(parent_id)) return false;
  if (text.size() == kSize) return true;
  return version != "00" && text[kSize] == '-' && text.size() <= 512;
}

std::string make_traceparent(Random& random) {
  const auto nonzero = [&random] {
    auto number = random.next();
    while (number == 0) number = random.next();
    return number;
  };
  return fmt::format("00-{:016x}{:016x}-{:016x}-00", nonzero(), random.next(), nonzero());
}

}  // namespace setget::inline v0::detail
