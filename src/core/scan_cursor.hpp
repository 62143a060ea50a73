// The cursor of scans and lists: where the last page ended, in the order (identity_hash, ns, id). Shared by every backend, so that a scan
// of a store can continue in its archive at the same place. Text form: hexadecimal of a format byte, the hash (8 bytes, big end first), the
// namespace with its length, and the id. One without namespace and id is the place before everything of its hash: where a walk over a part
// of the order begins.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/varint.hpp"

#include <setget/error.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::detail {

struct ScanCursor {
  std::uint64_t hash = 0;
  std::string ns;
  std::string id;
};

inline constexpr std::uint8_t kScanCursorFormat = 1;

inline std::string encode_scan_cursor(std::uint64_t hash, std::string_view ns, std::string_view id) {
  std::string bytes(1, static_cast<char>(kScanCursorFormat));
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(hash >> shift & 0xff));
  put_bytes(bytes, ns);
  bytes.append(id);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    text.push_back(kDigits[static_cast<unsigned char>(byte) >> 4]);
    text.push_back(kDigits[static_cast<unsigned char>(byte) & 15]);
  }
  return text;
}

// The cursor that begins at the first identity of this hash or a greater one.
inline std::string cursor_before(std::uint64_t hash) { return encode_scan_cursor(hash, {}, {}); }

// kInvalidArgument for anything that encode_scan_cursor has not made.
inline Result<ScanCursor> decode_scan_cursor(std::string_view text) {
  const Error refused = Error(ErrorCode::kInvalidArgument, "not a cursor of this store").at_field("cursor");
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() % 2 != 0) return refused;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]);
    const int low = digit(text[i + 1]);
    if (high < 0 || low < 0) return refused;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  ByteReader reader(bytes);
  ScanCursor cursor;
  if (reader.byte() != kScanCursorFormat) return refused;
  for (int i = 0; i < 8; ++i) {
    const auto byte = reader.byte();
    if (!byte) return refused;
    cursor.hash = cursor.hash << 8 | *byte;
  }
  const auto ns = reader.sized_bytes();
  if (!ns) return refused;
  cursor.ns = std::string(*ns);
  cursor.id = std::string(*reader.bytes(reader.left()));
  const bool before_hash = cursor.ns.empty() && cursor.id.empty();
  if (!before_hash && cursor.hash != identity_hash(cursor.ns, cursor.id)) return refused;
  return cursor;
}

}  // namespace setget::inline v0::detail
