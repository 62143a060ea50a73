#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include <setget/validator.hpp>

#include "validator/media_type.hpp"
#include "validator/utf8.hpp"

namespace setget::inline v0 {

Validator::~Validator() = default;

bool is_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

Result<void> Limits::validate() const {
  const auto refuse = [](const char* field, std::string what) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, std::move(what)).at_field(field);
  };
  if (max_payload == 0) return refuse("limits.max_payload", "must be above 0");
  if (max_keys == 0) return refuse("limits.max_keys", "must be above 0");
  if (max_key_bytes == 0 || max_key_bytes > 512) return refuse("limits.max_key_bytes", "must be in [1, 512]: stores rely on it");
  if (max_id_bytes == 0 || max_id_bytes > 512) return refuse("limits.max_id_bytes", "must be in [1, 512]: stores rely on it");
  if (max_depth == 0) return refuse("limits.max_depth", "must be above 0");
  if (max_reasons == 0) return refuse("limits.max_reasons", "must be above 0");
  return {};
}

namespace detail {

bool is_json_content(std::string_view type) noexcept {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  while (!type.empty() && (type.front() == ' ' || type.front() == '\t')) type.remove_prefix(1);
  const auto same = [](std::string_view text, std::string_view lower) {
    return std::ranges::equal(text, lower, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
  };
  return same(type, "application/json") || (type.size() > 5 && same(type.substr(type.size() - 5), "+json"));
}

}  // namespace detail

namespace {

class Findings {
 public:
  explicit Findings(std::size_t limit) : limit_(limit) {}
  void add(const char* code, std::string pointer, std::string message) {
    if (!full()) reasons_.push_back({.code = code, .message = std::move(message), .pointer = std::move(pointer)});
  }
  void add(std::vector<Reason> more) {
    for (auto& reason : more) {
      if (!full()) reasons_.push_back(std::move(reason));
    }
  }
  bool full() const noexcept { return reasons_.size() >= limit_; }
  std::vector<Reason> take() { return std::move(reasons_); }

 private:
  std::size_t limit_;
  std::vector<Reason> reasons_;
};

class EnvelopeValidator final : public Validator {
 public:
  explicit EnvelopeValidator(Limits limits) : limits_(limits) {}

  std::vector<Reason> validate(const Command& command) const override {
    Findings found(limits_.max_reasons);
    if (!command.ns.empty() && !is_name(command.ns)) name_reason(found, "invalid_namespace", "/namespace", command.ns);
    switch (command.kind) {
      case CommandKind::kSet:
        check_set(command, found);
        break;
      case CommandKind::kErase:
        check_id(command, found);
        check_version(command, found);
        break;
      case CommandKind::kEraseKey:
        if (command.keys.size() > 1)
          found.add("too_many_keys", "/keys", fmt::format("{} keys, an erase by key names one", command.keys.size()));
        check_keys(command.keys, found);
        break;
      case CommandKind::kTouch:
        check_id(command, found);
        check_ttl(command, found);
        break;
      default:
        found.add("invalid_kind", "", fmt::format("command kind {} is not known", static_cast<unsigned>(command.kind)));
    }
    return found.take();
  }

 private:
  void check_set(const Command& command, Findings& found) const {
    // An empty id is the ingress's to fill with a fresh one.
    if (!command.id.empty()) check_id(command, found);
    check_keys(command.keys, found);
    check_name(found, "account_missing", "invalid_account", "/account", command.account);
    check_name(found, "flow_missing", "invalid_flow", "/flow", command.flow);
    check_text(found, "owner_too_long", "/owner", command.owner, limits_.max_owner_bytes);
    check_content_type(command, found);
    check_attributes(command.attributes, found);
    check_ttl(command, found);
    check_version(command, found);
    if (command.payload.size() > limits_.max_payload) {
      found.add("payload_too_large", "/payload", fmt::format("{} bytes, limit {}", command.payload.size(), limits_.max_payload));
    } else if (!found.full() && detail::is_json_content(command.content_type)) {
      found.add(check_json(command.payload.view(), limits_));
    }
  }

  void check_id(const Command& command, Findings& found) const {
    if (command.id.empty()) found.add("id_missing", "/id", "an id is needed");
    if (command.id.size() > limits_.max_id_bytes) {
      found.add("id_too_long", "/id", fmt::format("{} bytes, limit {}", command.id.size(), limits_.max_id_bytes));
    }
  }

  void check_keys(const KeyList& keys, Findings& found) const {
    if (keys.empty()) return found.add("keys_missing", "/keys", "at least one key is needed");
    // What is over the limit is not looked at, so that the work stays bounded.
    if (keys.size() > limits_.max_keys)
      return found.add("too_many_keys", "/keys", fmt::format("{} keys, limit {}", keys.size(), limits_.max_keys));
    std::size_t index = 0;
    for (const auto key : keys) {
      if (key.empty()) found.add("key_empty", fmt::format("/keys/{}", index), "a key has at least one byte");
      if (key.size() > limits_.max_key_bytes) {
        found.add("key_too_long", fmt::format("/keys/{}", index), fmt::format("{} bytes, limit {}", key.size(), limits_.max_key_bytes));
      }
      ++index;
    }
    check_unique(keys, found);
  }

  // Almost every record has a handful of keys: those are compared in place, without an allocation.
  static void check_unique(const KeyList& keys, Findings& found) {
    constexpr std::size_t kFew = 16;
    std::array<std::pair<std::string_view, std::size_t>, kFew> few;
    std::vector<std::pair<std::string_view, std::size_t>> many;
    if (keys.size() > kFew) many.resize(keys.size());
    auto* const begin = keys.size() > kFew ? many.data() : few.data();
    auto* end = begin;
    for (const auto key : keys) {
      *end = {key, static_cast<std::size_t>(end - begin)};
      ++end;
    }
    std::sort(begin, end);
    for (auto* it = begin; it + 1 < end; ++it) {
      if (it->first == (it + 1)->first) {
        found.add("key_duplicate", fmt::format("/keys/{}", (it + 1)->second), fmt::format("the same as /keys/{}", it->second));
      }
    }
  }

  static void name_reason(Findings& found, const char* code, const char* pointer, std::string_view text) {
    found.add(code, pointer, fmt::format("{} bytes; a name is 1 to 64 of [A-Za-z0-9._-]", text.size()));
  }

  static void check_name(Findings& found, const char* missing, const char* invalid, const char* pointer, std::string_view text) {
    if (text.empty()) {
      found.add(missing, pointer, "needed: a name of 1 to 64 of [A-Za-z0-9._-]");
    } else if (!is_name(text)) {
      name_reason(found, invalid, pointer, text);
    }
  }

  static void check_text(Findings& found, const char* too_long, const char* pointer, std::string_view text, std::size_t limit) {
    if (text.size() > limit) {
      found.add(too_long, pointer, fmt::format("{} bytes, limit {}", text.size(), limit));
    } else if (!is_utf8(text)) {
      found.add("invalid_utf8", pointer, fmt::format("byte {}: not UTF-8 (RFC 3629)", detail::first_bad_utf8(text)));
    }
  }

  void check_content_type(const Command& command, Findings& found) const {
    const auto& type = command.content_type;
    if (type.size() > limits_.max_content_type_bytes) {
      return found.add("content_type_too_long", "/content_type",
                       fmt::format("{} bytes, limit {}", type.size(), limits_.max_content_type_bytes));
    }
    // It goes out as a header: a line break in it would forge others.
    const auto bad = std::ranges::find_if(type, [](char c) { return c < 0x20 || c > 0x7E; });
    if (bad != type.end()) {
      found.add("invalid_content_type", "/content_type", fmt::format("byte {}: only printable ASCII is allowed", bad - type.begin()));
    }
  }

  void check_attributes(const Attributes& attributes, Findings& found) const {
    if (attributes.size() > limits_.max_attributes) {
      return found.add("too_many_attributes", "/attributes",
                       fmt::format("{} attributes, limit {}", attributes.size(), limits_.max_attributes));
    }
    std::size_t bytes = 0;
    for (const auto& [name, value] : attributes) {
      bytes += name.size() + value.size();
      if (name.empty()) found.add("attribute_name_empty", "/attributes", "a name has at least one byte");
      if (!is_utf8(name) || !is_utf8(value)) found.add("invalid_utf8", "/attributes", "names and values must be UTF-8 (RFC 3629)");
    }
    if (bytes > limits_.max_attribute_bytes) {
      found.add("attributes_too_large", "/attributes", fmt::format("{} bytes, limit {}", bytes, limits_.max_attribute_bytes));
    }
  }

  static void check_ttl(const Command& command, Findings& found) {
    if (command.ttl && !command.ttl->is_never && command.ttl->length < Milliseconds(0)) {
      found.add("invalid_ttl", "/ttl", fmt::format("{} ms; a life cannot be negative", command.ttl->length.count()));
    }
  }

  static void check_version(const Command& command, Findings& found) {
    if (command.version && (*command.version == 0 || *command.version > kMaxVersion)) {
      found.add("version_out_of_range", "/version", fmt::format("{} is not in [1, 2^53-1]", *command.version));
    }
    if (command.expected_version && *command.expected_version > kMaxVersion) {
      found.add("version_out_of_range", "/expected_version", fmt::format("{} is not in [0, 2^53-1]", *command.expected_version));
    }
  }

  Limits limits_;
};

class ChainValidator final : public Validator {
 public:
  explicit ChainValidator(std::vector<std::shared_ptr<const Validator>> validators) : validators_(std::move(validators)) {}
  std::vector<Reason> validate(const Command& command) const override {
    for (const auto& validator : validators_) {
      if (auto reasons = validator->validate(command); !reasons.empty()) return reasons;
    }
    return {};
  }

 private:
  std::vector<std::shared_ptr<const Validator>> validators_;
};

}  // namespace

std::shared_ptr<const Validator> envelope_validator(Limits limits) { return std::make_shared<EnvelopeValidator>(limits); }

std::shared_ptr<const Validator> chain_validators(std::vector<std::shared_ptr<const Validator>> validators) {
  std::erase(validators, nullptr);
  if (validators.size() == 1) return std::move(validators.front());
  return std::make_shared<ChainValidator>(std::move(validators));
}

}  // namespace setget::inline v0
