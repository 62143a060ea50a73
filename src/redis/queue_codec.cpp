#include "redis/queue_codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace setget::inline v0::redis {

namespace {

constexpr std::size_t kTokenSize = 16;

void put(std::string& out, std::size_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift & 0xff));
}
void put(std::string& out, std::string_view bytes) {
  put(out, bytes.size());
  out += bytes;
}

// Reads from the front of what is left.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  bool good() const noexcept { return good_; }
  std::size_t size() const noexcept { return left_.size(); }
  std::uint64_t number(std::size_t width) {
    std::uint64_t value = 0;
    for (const char c : take(width)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t length) {
    if (length > left_.size()) {
      good_ = false;
      return {};
    }
    const auto taken = left_.substr(0, length);
    left_.remove_prefix(length);
    return taken;
  }
  std::string text() { return std::string(take(number(4))); }

 private:
  std::string_view left_;
  bool good_ = true;
};

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  return problem == std::errc() && end == text.data() + text.size() && !text.empty();
}

// False if there are not exactly `Count` parts.
template <std::size_t Count>
bool split(std::string_view text, char separator, std::array<std::string_view, Count>& parts) {
  for (std::size_t i = 0; i + 1 < Count; ++i) {
    const auto at = text.find(separator);
    if (at == std::string_view::npos) return false;
    parts[i] = text.substr(0, at);
    text.remove_prefix(at + 1);
  }
  parts[Count - 1] = text;
  return text.find(separator) == std::string_view::npos;
}

void put_record(std::string& out, const OutgoingMessage& message) {
  out.push_back('A');
  put(out, message.body.size());
  put(out, message.group);
  put(out, message.attributes.size());
  for (const auto& [name, value] : message.attributes) {
    put(out, name);
    out.push_back(static_cast<char>(value.type));
    put(out, value.data);
  }
  out += message.body.view();
}

}  // namespace

std::size_t record_size(const OutgoingMessage& message) {
  std::size_t size = 13 + message.group.size() + message.body.size();
  for (const auto& [name, value] : message.attributes) size += 9 + name.size() + value.data.size();
  return size;
}

std::string encode_record(const OutgoingMessage& message) {
  std::string out;
  out.reserve(record_size(message));
  put_record(out, message);
  return out;
}

std::string encode_block(std::span<const OutgoingMessage> messages) {
  std::size_t bodies = 0;
  std::size_t size = 7;
  for (const auto& message : messages) {
    bodies += message.body.size();
    size += 4 + record_size(message);
  }
  std::string out;
  out.reserve(size);
  out.push_back('F');
  out.push_back(static_cast<char>(messages.size() >> 8 & 0xff));
  out.push_back(static_cast<char>(messages.size() & 0xff));
  put(out, bodies);
  for (const auto& message : messages) put(out, record_size(message));
  for (const auto& message : messages) put_record(out, message);
  return out;
}

std::vector<Payload> records_in(const Payload& block, std::optional<std::uint64_t> count) {
  Reader in(block.view());
  const bool is_block = in.take(1) == "F";
  const auto said = in.number(2);
  std::vector<Payload> records(count.value_or(said));
  in.number(4);
  Reader lengths(in.take(said * 4));
  if (!is_block || !in.good() || records.size() != said) return records;
  auto at = block.size() - in.size();
  for (auto& record : records) {
    const auto length = lengths.number(4);
    in.take(length);
    if (!in.good()) break;
    record = block.slice(at, length);
    at += length;
  }
  return records;
}

Reason damaged_reason() {
  return {.code = "corrupted", .message = "what is stored of the message is damaged and cannot be read", .pointer = {}};
}

void mark_damaged(std::vector<Reason>& reasons) {
  auto mark = damaged_reason();
  if (std::ranges::none_of(reasons, [&](const Reason& known) { return known.code == mark.code; })) reasons.push_back(std::move(mark));
}

std::optional<Frame> parse_frame(std::string_view entry) {
  std::array<std::string_view, 5> parts;
  Frame frame;
  if (!split(entry, ':', parts) || !parse(parts[0], frame.first) || !parse(parts[1], frame.count) || !parse(parts[2], frame.stamp) ||
      !parse(parts[3], frame.step) || !parse(parts[4], frame.bytes)) {
    return std::nullopt;
  }
  return frame;
}

Result<Record> decode_record(const Payload& bytes) {
  const auto damaged = [] { return Error(ErrorCode::kCorrupted, "a stored message is not what was written"); };
  Reader in(bytes.view());
  if (in.take(1) != "A") return damaged();
  Record record;
  const auto length = in.number(4);
  record.group = in.text();
  for (auto count = in.number(4); count > 0 && in.good(); --count) {
    auto name = in.text();
    const auto type = static_cast<AttributeValue::Type>(in.number(1));
    record.attributes.emplace(std::move(name), AttributeValue{.type = type, .data = in.text()});
  }
  if (!in.good() || in.size() != length) return damaged();
  record.body = bytes.slice(bytes.size() - length);
  return record;
}

Stamp stamp_in(std::string_view header) {
  Reader in(header);
  return in.number(8);
}

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  return parse(text, number) ? number : 0;
}

std::string encode_reasons(const std::vector<Reason>& reasons) {
  std::string out;
  for (const auto& reason : reasons) {
    put(out, reason.code);
    put(out, reason.message);
    put(out, reason.pointer);
  }
  return out;
}

std::vector<Reason> decode_reasons(std::string_view bytes) {
  std::vector<Reason> reasons;
  Reader in(bytes);
  while (in.good() && in.size() > 0) {
    Reason reason;
    reason.code = in.text();
    reason.message = in.text();
    reason.pointer = in.text();
    if (in.good()) reasons.push_back(std::move(reason));
  }
  return reasons;
}

std::vector<std::string> option_fields(const QueueOptions& options) {
  return {std::to_string(static_cast<int>(options.kind)),
          std::to_string(options.visibility_timeout.count()),
          std::to_string(options.delay.count()),
          std::to_string(options.retention.count()),
          std::to_string(options.max_receives),
          std::to_string(options.dedup_window.count()),
          std::to_string(options.outcome_retention.count()),
          std::to_string(options.max_in_flight),
          std::to_string(std::min<std::size_t>(options.max_message_bytes, std::numeric_limits<std::int64_t>::max()))};
}

std::optional<QueueOptions> parse_options(std::string_view text) {
  std::array<std::int64_t, 9> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto end = i + 1 < numbers.size() ? text.find(' ') : text.size();
    if (end == std::string_view::npos || !parse(text.substr(0, end), numbers[i])) return std::nullopt;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  QueueOptions options;
  options.kind = static_cast<QueueKind>(numbers[0]);
  options.visibility_timeout = Milliseconds(numbers[1]);
  options.delay = Milliseconds(numbers[2]);
  options.retention = Milliseconds(numbers[3]);
  options.max_receives = static_cast<std::uint32_t>(numbers[4]);
  options.dedup_window = Milliseconds(numbers[5]);
  options.outcome_retention = Milliseconds(numbers[6]);
  options.max_in_flight = static_cast<std::uint32_t>(numbers[7]);
  options.max_message_bytes = static_cast<std::size_t>(numbers[8]);
  return options;
}

std::string message_id_of(const MessageName& name) {
  return fmt::format("{}~{}~{}~{}~{}", name.queue, name.part, name.number, name.stamp, name.born);
}

std::optional<MessageName> parse_message_id(std::string_view text) {
  std::array<std::string_view, 5> parts;
  MessageName name;
  if (!split(text, '~', parts) || !parse(parts[1], name.part) || !parse(parts[2], name.number) || !parse(parts[3], name.stamp) ||
      name.number > kMaxVersion) {
    return std::nullopt;
  }
  name.queue = parts[0];
  name.born = parts[4];
  return name;
}

std::string receipt_of(std::string_view queue, std::uint32_t part, std::uint64_t number, std::string_view token) {
  return fmt::format("{}~{}~{}~{}", queue, part, number, token);
}

std::optional<Receipt> parse_receipt(std::string_view text) {
  std::array<std::string_view, 4> parts;
  Receipt receipt;
  if (!split(text, '~', parts) || !parse(parts[1], receipt.part) || !parse(parts[2], receipt.number) || receipt.number > kMaxVersion ||
      parts[3].size() != kTokenSize) {
    return std::nullopt;
  }
  receipt.queue = parts[0];
  receipt.token = parts[3];
  return receipt;
}

std::string hex(std::uint64_t number) { return fmt::format("{:016x}", number); }

}  // namespace setget::inline v0::redis
