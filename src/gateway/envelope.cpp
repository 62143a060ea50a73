#include "gateway/envelope.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <iterator>

#include "core/json_pointer.hpp"
#include "gateway/base64.hpp"
#include "gateway/media_type.hpp"
#include "gateway/simdjson_scratch.hpp"

namespace setget::inline v0::detail {
namespace {

using simdjson::ondemand::json_type;
using simdjson::ondemand::value;

// What the JSON text itself is at fault for; found again, with its position, by find_syntax_error.
struct NotJson {};

constexpr char kNotBase64[] = "not base64 (RFC 4648 section 4, with padding)";
constexpr double kMaxTtlSeconds = 9.0e12;  // fits milliseconds in 53 bits

std::string_view type_name(json_type type) noexcept {
  switch (type) {
    case json_type::array:
      return "an array";
    case json_type::object:
      return "an object";
    case json_type::number:
      return "a number";
    case json_type::string:
      return "a string";
    case json_type::boolean:
      return "a boolean";
    case json_type::null:
      return "null";
  }
  return "something else";
}

// Reads one envelope. Members throw NotJson, which never leaves parse().
class EnvelopeReader {
 public:
  EnvelopeReader(const Payload& json, const Limits& limits, ParsedEnvelope& out)
      : json_(json), limits_(limits), out_(out), scratch_(json.view()) {}

  void parse() {
    simdjson::ondemand::document document;
    need(scratch_.iterate(document));
    json_type type{};
    need(document.type().get(type));
    if (type != json_type::object) {
      add("wrong_type", fmt::format("an envelope is an object, this is {}", type_name(type)), "");
      return;
    }
    simdjson::ondemand::object object;
    need(document.get_object().get(object));
    for (auto item : object) {
      simdjson::ondemand::field field;
      need(std::move(item).get(field));
      std::string_view name;
      need(field.unescaped_key().get(name));
      read_field(name, field.value());
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) throw NotJson{};  // something follows the object
    finish();
  }

 private:
  enum Field : unsigned {
    kKeys,
    kKeysBase64,
    kId,
    kIdBase64,
    kAccount,
    kFlow,
    kOwner,
    kContentType,
    kAttributes,
    kPayload,
    kPayloadBase64,
    kTtl,
    kVersion,
    kExpectedVersion,
    kFieldCount,
  };
  static constexpr std::string_view kNames[kFieldCount] = {"keys",           "keys_base64", "id",           "id_base64",       "account",
                                                           "flow",           "owner",       "content_type", "attributes",      "payload",
                                                           "payload_base64", "ttl",         "version",      "expected_version"};

  static void need(simdjson::error_code code) {
    if (code != simdjson::SUCCESS) throw NotJson{};
  }
  void add(std::string code, std::string message, std::string pointer) {
    if (out_.reasons.size() < limits_.max_reasons) out_.reasons.push_back({std::move(code), std::move(message), std::move(pointer)});
  }
  bool seen(Field field) const noexcept { return (seen_ & (1u << field)) != 0; }

  bool is(value item, json_type wanted, std::string_view pointer) {
    json_type type{};
    need(item.type().get(type));
    if (type == wanted) return true;
    add("wrong_type", fmt::format("expected {}, found {}", type_name(wanted), type_name(type)), std::string(pointer));
    return false;
  }

  void read_field(std::string_view name, value item) {
    for (unsigned i = 0; i < kFieldCount; ++i) {
      if (kNames[i] != name) continue;
      const auto field = static_cast<Field>(i);
      if (seen(field)) {
        add("duplicate_name", "the name appears twice", child_pointer({}, name));
        return;
      }
      seen_ |= 1u << i;
      read_known(field, item);
      return;
    }
    const std::string_view shown = name.substr(0, 64);
    add("unknown_field", fmt::format("\"{}\" is not a field of an envelope", shown), child_pointer({}, shown));
  }

  void read_known(Field field, value item) {
    SetRequest& request = out_.request;
    switch (field) {
      case kKeys:
      case kKeysBase64:
        return read_keys(field, item);
      case kId:
        return read_text(item, "/id", request.id);
      case kIdBase64:
        return read_base64(item, "/id_base64", request.id);
      case kAccount:
        return read_text(item, "/account", request.account);
      case kFlow:
        return read_text(item, "/flow", request.flow);
      case kOwner:
        return read_text(item, "/owner", request.owner);
      case kContentType:
        return read_text(item, "/content_type", request.content_type);
      case kAttributes:
        return read_attributes(item);
      case kPayload: {
        std::string_view raw;
        need(simdjson::to_json_string(item).get(raw));
        // That reads no string, and one that is passed over unread is taken for a name where a colon follows it.
        if (simdjson::ondemand::raw_json_string read; raw.starts_with('"')) need(item.get_raw_json_string().get(read));
        out_.json_payload = true;
        request.payload = json_.slice(scratch_.offset_of(raw), raw.size());
        return;
      }
      case kPayloadBase64: {
        std::string bytes;
        read_base64(item, "/payload_base64", bytes);
        request.payload = Payload::adopt(std::move(bytes));
        return;
      }
      case kTtl:
        return read_ttl(item);
      case kVersion:
        return read_integer(item, "/version", 1, request.version);
      case kExpectedVersion:
        return read_integer(item, "/expected_version", 0, request.expected_version);
      case kFieldCount:
        return;
    }
  }

  void read_text(value item, std::string_view pointer, std::string& to) {
    if (!is(item, json_type::string, pointer)) return;
    std::string_view text;
    need(item.get_string().get(text));
    to = text;
  }

  void read_base64(value item, std::string_view pointer, std::string& to) {
    if (!is(item, json_type::string, pointer)) return;
    std::string_view text;
    need(item.get_string().get(text));
    if (auto bytes = decode_base64(text))
      to = *std::move(bytes);
    else
      add("bad_base64", kNotBase64, std::string(pointer));
  }

  void read_keys(Field field, value item) {
    const std::string pointer = child_pointer({}, kNames[field]);
    if (!is(item, json_type::array, pointer)) return;
    simdjson::ondemand::array array;
    need(item.get_array().get(array));
    std::size_t index = 0;
    for (auto element : array) {
      value key;
      need(std::move(element).get(key));  // NOLINT(performance-move-const-arg): get() is of rvalues only
      // One over the limit is kept, so that the validator names the limit; the rest is only walked over.
      if (plain_.size() + binary_.size() <= limits_.max_keys) read_key(field, key, fmt::format_int(index).str(), pointer);
      ++index;
    }
  }

  void read_key(Field field, value item, std::string_view index, const std::string& parent) {
    json_type type{};
    need(item.type().get(type));
    if (type != json_type::string) {
      is(item, json_type::string, child_pointer(parent, index));
      return;
    }
    std::string_view text;
    need(item.get_string().get(text));
    if (field == kKeys) {
      plain_.emplace_back(text);
      return;
    }
    if (auto bytes = decode_base64(text))
      binary_.push_back(*std::move(bytes));
    else
      add("bad_base64", kNotBase64, child_pointer(parent, index));
  }

  void read_attributes(value item) {
    if (!is(item, json_type::object, "/attributes")) return;
    simdjson::ondemand::object object;
    need(item.get_object().get(object));
    for (auto entry : object) {
      simdjson::ondemand::field field;
      need(std::move(entry).get(field));
      std::string_view name;
      need(field.unescaped_key().get(name));
      if (out_.request.attributes.size() > limits_.max_attributes) continue;
      const std::string pointer = child_pointer("/attributes", name.substr(0, 64));
      if (!is(field.value(), json_type::string, pointer)) continue;
      std::string_view text;
      need(field.value().get_string().get(text));
      if (!out_.request.attributes.emplace(name, text).second) add("duplicate_name", "the name appears twice", pointer);
    }
  }

  void read_ttl(value item) {
    json_type type{};
    need(item.type().get(type));
    if (type == json_type::string) {
      std::string_view text;
      need(item.get_string().get(text));
      auto ttl = parse_ttl(text);
      if (ttl)
        out_.request.ttl = *ttl;
      else
        add("bad_ttl", ttl.error().message(), "/ttl");
      return;
    }
    if (type != json_type::number) {
      add("wrong_type", fmt::format(R"(expected seconds or a string such as "90s" or "never", found {})", type_name(type)), "/ttl");
      return;
    }
    double seconds = 0;
    if (item.get_double().get(seconds) != simdjson::SUCCESS || !(seconds >= 0 && seconds <= kMaxTtlSeconds)) {
      add("out_of_range", fmt::format("seconds in [0, {:.0f}]", kMaxTtlSeconds), "/ttl");
      return;
    }
    out_.request.ttl = Ttl::after(Milliseconds(std::llround(seconds * 1000)));
  }

  void read_integer(value item, std::string_view pointer, std::uint64_t least, std::optional<Version>& to) {
    if (!is(item, json_type::number, pointer)) return;
    std::uint64_t number = 0;
    const bool whole = item.get_uint64().get(number) == simdjson::SUCCESS;
    if (whole && number >= least && number <= kMaxVersion) {
      to = number;
      return;
    }
    add(whole ? "out_of_range" : "not_integer", fmt::format("an integer in [{}, {}], without fraction or exponent", least, kMaxVersion),
        std::string(pointer));
  }

  void finish() {
    out_.plain_keys = plain_.size();
    plain_.insert(plain_.end(), std::make_move_iterator(binary_.begin()), std::make_move_iterator(binary_.end()));
    out_.request.keys = KeyList(std::span<const std::string>(plain_));
    if (seen(kId) && seen(kIdBase64)) add("field_conflict", "id and id_base64 exclude each other", "/id_base64");
    if (seen(kPayload) && seen(kPayloadBase64)) add("field_conflict", "payload and payload_base64 exclude each other", "/payload_base64");
    if (!seen(kPayload) && !seen(kPayloadBase64)) add("missing_field", "payload or payload_base64 is required", "/payload");
    if (seen(kPayloadBase64) && !seen(kContentType)) out_.request.content_type = "application/octet-stream";
  }

  const Payload& json_;
  const Limits& limits_;
  ParsedEnvelope& out_;
  SimdjsonScratch scratch_;
  std::vector<std::string> plain_;
  std::vector<std::string> binary_;
  unsigned seen_ = 0;
};

}  // namespace

void point_at_key_lists(std::vector<Reason>& reasons, std::size_t plain_keys) {
  constexpr std::string_view kPrefix = "/keys/";
  for (auto& reason : reasons) {
    if (!reason.pointer.starts_with(kPrefix)) continue;
    std::size_t index = 0;
    const char* end = reason.pointer.data() + reason.pointer.size();
    const auto [stop, error] = std::from_chars(reason.pointer.data() + kPrefix.size(), end, index);
    if (error == std::errc() && stop == end && index >= plain_keys) reason.pointer = fmt::format("/keys_base64/{}", index - plain_keys);
  }
}

ParsedEnvelope parse_envelope_parts(const Payload& json, const Limits& limits, PayloadCheck check, std::size_t offset) {
  ParsedEnvelope parsed;
  bool not_json = false;
  try {
    EnvelopeReader(json, limits, parsed).parse();
  } catch (const NotJson&) {
    not_json = true;
  }
  const bool unchecked = parsed.json_payload && (check == PayloadCheck::kNow || !is_json_type(parsed.request.content_type));
  // simdjson's on-demand parser reads only what it is asked for: what was refused, or skipped over, is proved to be JSON here.
  if (not_json || !parsed.reasons.empty() || unchecked) parsed.syntax = find_syntax_error(json.view(), offset);
  if (not_json && !parsed.syntax)
    parsed.syntax = Error(ErrorCode::kInvalidArgument, "the envelope is not JSON that can be read").at_position(offset);
  if (parsed.syntax || !unchecked) return parsed;
  for (auto& reason : check_json(parsed.request.payload.view(), limits))
    if (parsed.reasons.size() < limits.max_reasons) parsed.reasons.push_back(std::move(reason));
  return parsed;
}

}  // namespace setget::inline v0::detail

namespace setget::inline v0 {

Result<SetRequest> parse_envelope(const Payload& json, const Limits& limits) {
  auto parsed = detail::parse_envelope_parts(json, limits, detail::PayloadCheck::kNow);
  if (parsed.syntax) return *std::move(parsed.syntax);
  if (!parsed.reasons.empty()) {
    std::string message = parsed.reasons.front().message;
    return Error(ErrorCode::kInvalidArgument, std::move(message)).because(std::move(parsed.reasons));
  }
  return std::move(parsed.request);
}

}  // namespace setget::inline v0
