// Damaged bytes where the embedded file keeps forms of its own: columns of queue, key store and archive, cursors, and the receipts and
// message ids that callers hand back. First byte of the input: which form; the rest: its bytes. Held: a decoder answers, or says that
// the bytes are damaged (SqlError, Result); what it accepts encodes to bytes that decode to the same again.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "core/scan_cursor.hpp"
#include "sqlite/archive_codec.hpp"
#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/queue.hpp"
#include "sqlite/slot.hpp"

namespace {

using namespace setget;

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// The second encoding must equal the first: decoding loses nothing that encoding writes.
template <class Decode, class Encode>
void round_trip(std::string_view bytes, Decode decode, Encode encode, const char* what) {
  const std::string once = encode(decode(bytes));
  require(encode(decode(once)) == once, what);
}

void decode_keys(std::string_view bytes) {
  const auto keys = sqlite::unpack_keys(bytes);
  if (!keys) return;
  std::size_t count = 0;
  for (const auto key : *keys) {
    require(key.size() <= bytes.size(), "a key is a part of its list");
    ++count;
  }
  require(count == keys->size(), "as many keys as said");
}

void decode_ident(std::string_view bytes, std::optional<std::int64_t> row) {
  const auto ident = sqlite::decode_ident(row, bytes);
  std::size_t count = 0;
  for (const auto key : ident.lost_keys) count += key.size() <= bytes.size() ? 1 : 0;
  require(count == ident.lost_keys.size(), "as many lost keys as said");
  // Only live records have a row: with one, what a tombstone leaves out means something else.
  if (row && ident.slot.state != IdentitySlot::State::kLive) return;
  const auto once = sqlite::encode_ident(ident);
  const auto again = sqlite::encode_ident(sqlite::decode_ident(row, once.value_or(std::string())));
  require(once == again, "a row of an identity reads back");
}

void decode_key(std::string_view bytes, std::optional<std::int64_t> row) {
  const auto once = sqlite::encode_key(sqlite::decode_key(row, bytes));
  require(sqlite::encode_key(sqlite::decode_key(row, once.value_or(std::string()))) == once, "a row of a key reads back");
}

void decode_changes(std::string_view bytes) {
  sqlite::ChangeEntries entries(bytes);
  std::size_t count = 0;
  while (const auto entry = entries.next()) {
    const auto once = sqlite::encode_change(*entry);
    const auto again = sqlite::ChangeEntries(once).next();
    require(again && sqlite::encode_change(*again) == once, "a change reads back");
    require(++count <= bytes.size(), "every change takes bytes");
  }
}

void decode_names(std::string_view text) {
  if (const auto name = sqlite::parse_message_id(text)) {
    const auto again = sqlite::parse_message_id(sqlite::message_id_of(name->queue, name->stamp));
    require(again && again->queue == name->queue && again->stamp == name->stamp, "a message id reads back");
  }
  if (const auto receipt = sqlite::parse_receipt(text)) {
    const auto again = sqlite::parse_receipt(sqlite::receipt_of(*receipt));
    require(again && again->stamp == receipt->stamp && again->token == receipt->token, "a receipt reads back");
  }
  if (const auto cursor = detail::decode_scan_cursor(text)) {
    require(detail::decode_scan_cursor(detail::encode_scan_cursor(cursor->hash, cursor->ns, cursor->id)).has_value(),
            "a cursor reads back");
  }
}

void decode(unsigned form, std::string_view bytes) {
  switch (form) {
    case 0:
      return round_trip(bytes, sqlite::decode_attributes, sqlite::encode_attributes, "attributes read back");
    case 1:
      return round_trip(bytes, sqlite::decode_reasons, sqlite::encode_reasons, "reasons read back");
    case 2:
      return round_trip(bytes, sqlite::decode_options, sqlite::encode_options, "options read back");
    case 3: {
      constexpr std::int64_t until = 1'700'000'000'000;
      return round_trip(
          bytes, [](std::string_view from) { return sqlite::decode_members(from, until); },
          [](const auto& members) { return sqlite::encode_members(members, until); }, "members of a lease read back");
    }
    case 4:
      return round_trip(bytes, sqlite::decode_outcomes, sqlite::encode_outcomes, "outcomes read back");
    case 5:
      return round_trip(bytes, sqlite::decode_meta, sqlite::encode_meta, "the state reads back");
    case 6:
      return round_trip(bytes, sqlite::decode_counters, sqlite::encode_counters, "counters read back");
    case 7:
      return decode_ident(bytes, 5);
    case 8:
      return decode_ident(bytes, std::nullopt);
    case 9:
      return decode_key(bytes, 5);
    case 10:
      return decode_changes(bytes);
    case 11:
      if (const auto checkpoint = sqlite::decode_checkpoint(bytes)) {
        const auto once = sqlite::encode_checkpoint(*checkpoint);
        const auto again = sqlite::decode_checkpoint(once);
        require(again && sqlite::encode_checkpoint(*again) == once, "a checkpoint reads back");
      }
      return;
    case 12:
      return decode_keys(bytes);
    default:
      return decode_names(bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    decode(data[0] % 14U, input.substr(1));
  } catch (const sqlite::SqlError& refused) {
    require(refused.error().code() == ErrorCode::kCorrupted, "damaged bytes are called damaged");
  }
  return 0;
}
