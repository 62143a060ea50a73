#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

#include "core/varint.hpp"

#include <setget/key_store.hpp>
#include <setget/record.hpp>

namespace setget::inline v0 {

namespace {

constexpr std::uint8_t kCommandFormat = 1;

enum Flag : std::uint8_t {
  kHasTtl = 1,
  kTtlNever = 2,
  kHasVersion = 4,
  kHasExpectedVersion = 8,
  kKnownFlags = 15,
};

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
constexpr std::array<Unit, 7> kUnits{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}, {"w", 604'800'000}, {"", 1000}}};

Error damaged(const detail::ByteReader& reader, std::string_view what) {
  return Error(ErrorCode::kCorrupted, fmt::format("encoded command is damaged: {}", what)).at_position(reader.position());
}

}  // namespace

Result<Ttl> parse_ttl(std::string_view text) {
  if (text == "never") return Ttl::never();
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto digits = static_cast<std::size_t>(end - text.data());
  if (problem == std::errc::invalid_argument) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format(R"("{}" is not a duration; expected "never", seconds, or a number with one of ms, s, m, h, d, w)", text))
        .at_position(0);
  }
  const auto suffix = text.substr(digits);
  for (const auto& unit : kUnits) {
    if (suffix != unit.name) continue;
    if (problem == std::errc::result_out_of_range || number < 0 || number > std::numeric_limits<std::int64_t>::max() / unit.ms) {
      return Error(ErrorCode::kInvalidArgument, fmt::format("duration \"{}\" is out of range", text)).at_position(0);
    }
    return Ttl::after(Milliseconds(number * unit.ms));
  }
  return Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" has an unknown unit; expected one of ms, s, m, h, d, w", text))
      .at_position(digits);
}

std::string to_string(const Ttl& ttl) {
  if (ttl.is_never) return "never";
  const auto ms = ttl.length.count();
  if (ms == 0) return "0s";
  for (const auto& unit : {kUnits[4], kUnits[3], kUnits[2], kUnits[1]}) {
    if (ms % unit.ms == 0) return fmt::format("{}{}", ms / unit.ms, unit.name);
  }
  return fmt::format("{}ms", ms);
}

std::string_view to_string(TtlRule rule) noexcept {
  switch (rule) {
    case TtlRule::kDefault:
      return "default";
    case TtlRule::kMessage:
      return "message";
    case TtlRule::kAccountFlow:
      return "account_flow";
    case TtlRule::kAccount:
      return "account";
    case TtlRule::kFlow:
      return "flow";
  }
  return "unknown";
}

namespace {

// All but the payload, which comes last; room for so many bytes behind it.
std::string encode_head(const Command& command, std::size_t room) {
  using detail::put_bytes;
  using detail::put_varint;
  std::string out;
  out.reserve(64 + command.ns.size() + command.id.size() + command.account.size() + command.flow.size() + command.owner.size() +
              command.content_type.size() + command.keys.packed().size() + room);
  std::uint8_t flags = 0;
  if (command.ttl) flags |= kHasTtl;
  if (command.ttl && command.ttl->is_never) flags |= kTtlNever;
  if (command.version) flags |= kHasVersion;
  if (command.expected_version) flags |= kHasExpectedVersion;
  out.push_back(static_cast<char>(kCommandFormat));
  out.push_back(static_cast<char>(command.kind));
  out.push_back(static_cast<char>(flags));
  put_bytes(out, command.ns);
  put_bytes(out, command.id);
  put_bytes(out, command.account);
  put_bytes(out, command.flow);
  put_bytes(out, command.owner);
  put_bytes(out, command.content_type);
  put_varint(out, command.attributes.size());
  for (const auto& [name, value] : command.attributes) {
    put_bytes(out, name);
    put_bytes(out, value);
  }
  if (command.ttl && !command.ttl->is_never) put_varint(out, static_cast<std::uint64_t>(command.ttl->length.count()));
  if (command.version) put_varint(out, *command.version);
  if (command.expected_version) put_varint(out, *command.expected_version);
  put_varint(out, command.keys.size());
  put_bytes(out, command.keys.packed().view());
  return out;
}

// What a set of this record's content would be, without the payload.
Command content_of(const Record& record) {
  return {.kind = CommandKind::kSet,
          .ns = record.ns,
          .id = record.id,
          .keys = record.keys,
          .account = record.account,
          .flow = record.flow,
          .owner = record.owner,
          .payload = {},
          .content_type = record.content_type,
          .attributes = record.attributes,
          .ttl = {},
          .version = {},
          .expected_version = {}};
}

}  // namespace

Payload encode_command(const Command& command) {
  auto out = encode_head(command, command.payload.size());
  out.append(command.payload.view());
  return Payload::adopt(std::move(out));
}

namespace {

// Where a command says what only concerns the set itself. What a record is made of has no place for it: it is read past.
struct SetTerms {
  std::optional<Ttl> ttl{};
  std::optional<Version> version{};
  std::optional<Version> expected_version{};
};

Result<SetTerms> take_terms(detail::ByteReader& reader, std::uint8_t flags) {
  SetTerms terms;
  if ((flags & kHasTtl) != 0) {
    if ((flags & kTtlNever) != 0) {
      terms.ttl = Ttl::never();
    } else {
      const auto length = reader.varint();
      if (!length || *length > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return damaged(reader, "ttl");
      terms.ttl = Ttl::after(Milliseconds(static_cast<std::int64_t>(*length)));
    }
  }
  if ((flags & kHasVersion) != 0) {
    terms.version = reader.varint();
    if (!terms.version || *terms.version == 0 || *terms.version > kMaxVersion) return damaged(reader, "version");
  }
  if ((flags & kHasExpectedVersion) != 0) {
    terms.expected_version = reader.varint();
    if (!terms.expected_version || *terms.expected_version > kMaxVersion) return damaged(reader, "expected_version");
  }
  return terms;
}

// Straight into what is wanted, a command or a record: on the way of every get, moving the texts from one to the other is a tenth of it.
struct Decoded {
  CommandKind kind = CommandKind::kSet;
  SetTerms terms{};
};

template <class Into>
Result<Decoded> decode_into(Into& into, const Payload& bytes) {
  detail::ByteReader reader(bytes.view());
  const auto format = reader.byte();
  if (!format) return damaged(reader, "it is empty");
  if (*format != kCommandFormat) {
    return Error(*format > kCommandFormat ? ErrorCode::kUnsupported : ErrorCode::kCorrupted,
                 fmt::format("encoded command has format {}, this library reads {}", *format, kCommandFormat))
        .at_position(0);
  }
  const auto kind = reader.byte();
  if (!kind || *kind < 1 || *kind > static_cast<std::uint8_t>(CommandKind::kTouch)) return damaged(reader, "unknown kind");
  const auto flags = reader.byte();
  if (!flags || (*flags & ~kKnownFlags) != 0) return damaged(reader, "unknown flags");
  for (auto* text : {&into.ns, &into.id, &into.account, &into.flow, &into.owner, &into.content_type}) {
    const auto value = reader.sized_bytes();
    if (!value) return damaged(reader, "a text runs past the end");
    text->assign(*value);
  }
  const auto attributes = reader.varint();
  if (!attributes || *attributes > reader.left()) return damaged(reader, "attribute count");
  for (std::uint64_t i = 0; i < *attributes; ++i) {
    const auto name = reader.sized_bytes();
    const auto value = name ? reader.sized_bytes() : std::nullopt;
    if (!value) return damaged(reader, "an attribute runs past the end");
    into.attributes.insert_or_assign(std::string(*name), std::string(*value));
  }
  const auto terms = take_terms(reader, *flags);
  if (!terms) return terms.error();
  const auto count = reader.varint();
  const auto packed = count ? reader.sized_bytes() : std::nullopt;
  if (!packed) return damaged(reader, "the keys run past the end");
  detail::ByteReader keys(*packed);
  std::uint64_t found = 0;
  while (keys.left() > 0) {
    if (!keys.sized_bytes()) return damaged(reader, "a key runs past the end of the keys");
    ++found;
  }
  if (found != *count) return damaged(reader, "the number of keys");
  const auto packed_at = static_cast<std::size_t>(packed->data() - bytes.data());
  into.keys = KeyList::from_packed(bytes.slice(packed_at, packed->size()), static_cast<std::size_t>(found));
  into.payload = bytes.slice(reader.position());
  return Decoded{.kind = static_cast<CommandKind>(*kind), .terms = *terms};
}

}  // namespace

Result<Command> decode_command(const Payload& bytes) {
  Result<Command> command{Command{}};
  const auto decoded = decode_into(*command, bytes);
  if (!decoded) return decoded.error();
  command->kind = decoded->kind;
  command->ttl = decoded->terms.ttl;
  command->version = decoded->terms.version;
  command->expected_version = decoded->terms.expected_version;
  return command;
}

Payload encoded_of(const Record& record) {
  auto command = content_of(record);
  command.payload = record.payload;
  return encode_command(command);
}

Digest content_digest(const Record& record) { return digest_of({encode_head(content_of(record), 0), record.payload.view()}); }

Digest content_digest(const Command& command) {
  if (!command.ttl && !command.version && !command.expected_version) {
    return digest_of({encode_head(command, 0), command.payload.view()});
  }
  auto content = command;
  content.ttl.reset();
  content.version.reset();
  content.expected_version.reset();
  return digest_of({encode_head(content, 0), command.payload.view()});
}

Result<Record> make_record(const Payload& encoded, const StoredMeta& meta) {
  Result<Record> record{Record{}};
  if (const auto decoded = decode_into(*record, encoded); !decoded) return decoded.error();
  record->lost_keys = meta.lost_keys;
  record->version = meta.version;
  record->revision = meta.revision;
  record->stamp = meta.stamp;
  record->created_at = time_of(meta.stamp);
  record->expires_at = meta.expires_at;
  record->ttl_rule = meta.ttl_rule;
  return record;
}

}  // namespace setget::inline v0
