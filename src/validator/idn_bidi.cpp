#include "validator/idn_bidi.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace setget::inline v0::detail::schema {
namespace {

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// Blocks whose letters are of class R or AL, and in them what is not: marks (NSM) and the digits that are European ones (EN).
constexpr std::array<Range, 4> kRightToLeft = {{{0x0590, 0x08FF}, {0xFB1D, 0xFDFF}, {0x10800, 0x10FFF}, {0x1E800, 0x1EFFF}}};
constexpr std::array<Range, 30> kOthers = {
    {{0x0591, 0x05BD}, {0x05BF, 0x05BF}, {0x05C1, 0x05C2},   {0x05C4, 0x05C5},   {0x05C7, 0x05C7},   {0x0610, 0x061A},
     {0x064B, 0x065F}, {0x0670, 0x0670}, {0x06D6, 0x06DC},   {0x06DF, 0x06E4},   {0x06E7, 0x06E8},   {0x06EA, 0x06ED},
     {0x06F0, 0x06F9}, {0x0711, 0x0711}, {0x0730, 0x074A},   {0x07A6, 0x07B0},   {0x07EB, 0x07F3},   {0x07FD, 0x07FD},
     {0x0816, 0x0819}, {0x081B, 0x0823}, {0x0825, 0x0827},   {0x0829, 0x082D},   {0x0859, 0x085B},   {0x0898, 0x089F},
     {0x08CA, 0x08FF}, {0xFB1E, 0xFB1E}, {0x10A01, 0x10A0F}, {0x10A38, 0x10A3F}, {0x10D24, 0x10D27}, {0x1E8D0, 0x1E8D6}}};

template <std::size_t kSize>
bool within(const std::array<Range, kSize>& ranges, std::uint32_t code) noexcept {
  return std::ranges::any_of(ranges, [&](const Range& one) { return code >= one.first && code <= one.last; });
}

bool european(std::uint32_t code) noexcept { return (code >= '0' && code <= '9') || (code >= 0x06F0 && code <= 0x06F9); }
bool arabic(std::uint32_t code) noexcept { return code >= 0x0660 && code <= 0x0669; }
// Signs that IDNA 2008 allows within labels: middle dot, lower numeral sign, katakana middle dot.
bool sign(std::uint32_t code) noexcept { return code == 0x00B7 || code == 0x0375 || code == 0x30FB; }

}  // namespace

Direction direction_of(std::string_view label) noexcept {
  Direction out;
  bool has_european = false;
  bool has_arabic = false;
  for (std::size_t at = 0; at < label.size();) {
    const auto lead = static_cast<unsigned char>(label[at]);
    const std::size_t size = lead < 0x80 ? 1 : (lead < 0xE0 ? 2 : (lead < 0xF0 ? 3 : 4));
    std::uint32_t code = size == 1 ? lead : lead & (0xFFU >> (size + 1));
    for (std::size_t i = 1; i < size && at + i < label.size(); ++i) code = (code << 6) | (static_cast<unsigned char>(label[at + i]) & 0x3F);
    if (at == 0) out.begins_weak = european(code) || arabic(code) || sign(code);
    has_european = has_european || european(code);
    has_arabic = has_arabic || arabic(code);
    out.right_to_left = out.right_to_left || (within(kRightToLeft, code) && !within(kOthers, code));
    at += size;
  }
  out.mixes_digits = has_european && has_arabic;
  return out;
}

}  // namespace setget::inline v0::detail::schema
