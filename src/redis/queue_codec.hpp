// The stored and the outward forms of a queue's parts. Thread rule: pure functions.
//
// A record is 'A' (the format), the length of the body (4 bytes) and of the group (4), the group, the attributes, the body; numbers are
// big-endian. A header is the stamp (8 bytes), the length of the body (4), and in FIFO queues the group.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0::redis {

std::string encode_record(const OutgoingMessage& message);
// How long that is.
std::size_t record_size(const OutgoingMessage& message);
struct Record {
  std::string group{};
  MessageAttributes attributes{};
  Payload body{};  // shares the bytes given
};
Result<Record> decode_record(const Payload& bytes);

// A block is what several messages of a batch are sent as: 'F', how many (2 bytes), the sum of their bodies' lengths (4), the length of
// each record (4), the records. Precondition: at most 65 535 messages and 4 GiB.
std::string encode_block(std::span<const OutgoingMessage> messages);
// Its records; they share the bytes given. Of a damaged block those that cannot be told are empty, which no record is. `count`: how many
// they should be, else as many as the block says.
std::vector<Payload> records_in(const Payload& block, std::optional<std::uint64_t> count = {});
// What is said of a message whose record cannot be read, and the same as a mark where it is shown: once.
Reason damaged_reason();
void mark_damaged(std::vector<Reason>& reasons);
// The entry of a frame, "first:count:stamp:step:bytes": messages first, first + 1 … with the stamps stamp, stamp + step …
struct Frame {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  Stamp stamp = 0;
  Stamp step = 0;
  std::uint64_t bytes = 0;  // of their bodies
};
std::optional<Frame> parse_frame(std::string_view entry);

// 0 where it is no header.
Stamp stamp_in(std::string_view header);
// 0 where it is no number.
std::uint64_t number_in(std::string_view text);

// (length, code, length, message, length, pointer)*, so that lists can be put one behind the other.
std::string encode_reasons(const std::vector<Reason>& reasons);
std::vector<Reason> decode_reasons(std::string_view bytes);

// "kind visibility delay retention max_receives dedup_window outcome_retention max_in_flight max_message_bytes" in decimal.
std::vector<std::string> option_fields(const QueueOptions& options);
std::optional<QueueOptions> parse_options(std::string_view text);

// "queue~part~number~stamp~born". `born` tells the contents of a part apart that follow one another when one was lost.
struct MessageName {
  std::string_view queue{};
  std::uint32_t part = 0;
  std::uint64_t number = 0;
  Stamp stamp = 0;
  std::string_view born{};
};
std::string message_id_of(const MessageName& name);
std::optional<MessageName> parse_message_id(std::string_view text);

// "queue~part~number~token".
struct Receipt {
  std::string_view queue{};
  std::uint32_t part = 0;
  std::uint64_t number = 0;
  std::string_view token{};
};
std::string receipt_of(std::string_view queue, std::uint32_t part, std::uint64_t number, std::string_view token);
std::optional<Receipt> parse_receipt(std::string_view text);

// 16 digits of a 64-bit number.
std::string hex(std::uint64_t number);

}  // namespace setget::inline v0::redis
