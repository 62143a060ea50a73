// The cursor of a scan in (identity_hash, ns, id) order: the last item that was given. One encoding for key stores and archives of every
// backend, so that a verification can walk both with the same cursor. Printable, because it also travels in URLs and checkpoints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/varint.hpp"

#include <setget/error.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::detail {

struct ScanPosition {
  std::uint64_t hash = 0;
  std::string ns;
  std::string id;  // empty: before everything, since an id never is
};

inline std::string encode_scan_cursor(std::string_view ns, std::string_view id) {
  constexpr char kFormat = 1;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string bytes(1, kFormat);
  put_bytes(bytes, ns);
  bytes.append(id);
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
    text.push_back(kHex[static_cast<unsigned char>(c) & 0xf]);
  }
  return text;
}

// An empty cursor is the beginning. kInvalidArgument for what no scan gave, kUnsupported for one of a newer format.
inline Result<ScanPosition> decode_scan_cursor(std::string_view cursor) {
  if (cursor.empty()) return ScanPosition{};
  const auto invalid = [] { return Error(ErrorCode::kInvalidArgument, "not a cursor that a scan gave").at_field("cursor"); };
  const auto nibble = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (cursor.size() % 2 != 0) return invalid();
  std::string bytes;
  bytes.reserve(cursor.size() / 2);
  for (std::size_t i = 0; i < cursor.size(); i += 2) {
    const int high = nibble(cursor[i]);
    const int low = nibble(cursor[i + 1]);
    if (high < 0 || low < 0) return invalid();
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  ByteReader reader(bytes);
  const auto format = reader.byte();
  if (format && *format > 1) return Error(ErrorCode::kUnsupported, "the cursor is of a newer version").at_field("cursor");
  const auto ns = format == 1 ? reader.sized_bytes() : std::nullopt;
  const auto id = ns ? reader.bytes(reader.left()) : std::nullopt;
  if (!id || id->empty()) return invalid();
  return ScanPosition{.hash = identity_hash(*ns, *id), .ns = std::string(*ns), .id = std::string(*id)};
}

}  // namespace setget::inline v0::detail
