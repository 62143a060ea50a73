#include "gateway/base64.hpp"

#include <array>
#include <cstdint>

namespace setget::inline v0::detail {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kInvalid = 0xFF;

constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kInvalid);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}();

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return at < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at])) : 0u;
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::uint32_t group = byte_at(bytes, at) << 16 | byte_at(bytes, at + 1) << 8 | byte_at(bytes, at + 2);
    out += kAlphabet[group >> 18 & 63];
    out += kAlphabet[group >> 12 & 63];
    out += at + 1 < bytes.size() ? kAlphabet[group >> 6 & 63] : '=';
    out += at + 2 < bytes.size() ? kAlphabet[group & 63] : '=';
  }
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    const std::size_t padding = last ? (text[at + 2] == '=' ? 2u : text[at + 3] == '=' ? 1u : 0u) : 0u;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const bool pad = i >= 4 - padding;
      if (pad && text[at + i] != '=') return std::nullopt;
      const std::uint8_t value = pad ? std::uint8_t{0} : kValues[static_cast<unsigned char>(text[at + i])];
      if (value == kInvalid) return std::nullopt;
      group = group << 6 | value;
    }
    const std::uint32_t stray = padding == 2 ? group & 0xFFFFu : padding == 1 ? group & 0xFFu : 0u;
    if (stray != 0) return std::nullopt;
    bytes += static_cast<char>(group >> 16 & 0xFF);
    if (padding < 2) bytes += static_cast<char>(group >> 8 & 0xFF);
    if (padding < 1) bytes += static_cast<char>(group & 0xFF);
  }
  return bytes;
}

}  // namespace setget::inline v0::detail
