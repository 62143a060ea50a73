// Unsigned LEB128, the integer form of every encoded message, record and cursor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace setget::inline v0::detail {

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void put_bytes(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

// Reads fields off the front of foreign bytes; every getter answers empty instead of reading past the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) noexcept : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::size_t position() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  std::optional<std::uint8_t> byte() noexcept {
    if (at_ == end_) return std::nullopt;
    return static_cast<std::uint8_t>(*at_++);
  }

  std::optional<std::uint64_t> varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return std::nullopt;
      const auto next = static_cast<std::uint8_t>(*at_++);
      if (shift == 63 && next > 1) return std::nullopt;
      value |= static_cast<std::uint64_t>(next & 0x7f) << shift;
      if (next < 0x80) return value;
    }
    return std::nullopt;
  }

  std::optional<std::string_view> bytes(std::size_t size) noexcept {
    if (size > left()) return std::nullopt;
    const std::string_view out(at_, size);
    at_ += size;
    return out;
  }

  std::optional<std::string_view> sized_bytes() noexcept {
    const auto size = varint();
    if (!size || *size > left()) return std::nullopt;
    return bytes(static_cast<std::size_t>(*size));
  }

 private:
  const char* begin_;
  const char* at_;
  const char* end_;
};

}  // namespace setget::inline v0::detail
