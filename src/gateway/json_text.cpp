// JSON bodies that are not one envelope: batches, key queries, and where a text stops being JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>

#include "core/json_pointer.hpp"
#include "gateway/base64.hpp"
#include "gateway/envelope.hpp"
#include "gateway/media_type.hpp"
#include "gateway/simdjson_scratch.hpp"

namespace setget::inline v0::detail {
namespace {

// Listens only for the first error; nothing is built.
class SyntaxListener final : public nlohmann::json::json_sax_t {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    constexpr int kNumberOverflow = 406;  // valid grammar, beyond what this library represents
    if (error.id != kNumberOverflow) {
      // The library counts the bytes it has read: the last of them is the offending one.
      position_ = position == 0 ? 0 : position - 1;
      const std::string_view what = error.what();
      const std::size_t start = what.find("syntax error");
      what_ = start == std::string_view::npos ? std::string("not JSON") : std::string(what.substr(start, kMaxText));
    }
    return false;
  }
  std::optional<std::size_t> position_;
  std::string what_;

 private:
  static constexpr std::size_t kMaxText = 160;
};

Error not_an_array(const Payload& body) {
  if (auto syntax = find_syntax_error(body.view())) return *std::move(syntax);
  return Error(ErrorCode::kInvalidArgument, "a batch is a JSON array of envelopes")
      .because({{"wrong_type", "expected an array of envelopes; for one envelope a line use Content-Type application/x-ndjson", ""}});
}

// Adds one key of a multi-get; false if it is not a string.
bool add_key(KeyQuery& query, const nlohmann::json& key, bool base64, const std::string& pointer) {
  if (!key.is_string()) {
    query.reasons.push_back({"wrong_type", "expected a string", pointer});
    return false;
  }
  const auto& text = key.get_ref<const std::string&>();
  if (!base64) {
    query.keys.push_back(text);
  } else if (auto bytes = decode_base64(text)) {
    query.keys.push_back(*std::move(bytes));
  } else {
    query.reasons.push_back({"bad_base64", "not base64 (RFC 4648 section 4, with padding)", pointer});
  }
  return true;
}

}  // namespace

std::optional<Error> find_syntax_error(std::string_view json, std::size_t offset) {
  SyntaxListener listener;
  nlohmann::json::sax_parse(json.begin(), json.end(), &listener);
  if (!listener.position_) return std::nullopt;
  // What it read is bytes past a byte-order mark; those three are part of the body.
  const std::size_t at = std::min(*listener.position_, json.size());
  return Error(ErrorCode::kInvalidArgument, fmt::format("not JSON: byte {}: {}", offset + at, listener.what_)).at_position(offset + at);
}

Result<Elements> split_array(const Payload& body, std::size_t max_items) {
  SimdjsonScratch scratch(body.view());
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  if (scratch.iterate(document) != simdjson::SUCCESS || document.get_array().get(array) != simdjson::SUCCESS) return not_an_array(body);
  Elements elements;
  for (auto item : array) {
    std::string_view raw;
    if (simdjson::to_json_string(item).get(raw) != simdjson::SUCCESS) return not_an_array(body);
    if (elements.items.size() == max_items) {
      elements.too_many = true;
      return elements;
    }
    const std::size_t offset = scratch.offset_of(raw);
    elements.items.push_back({body.slice(offset, raw.size()), offset});
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return not_an_array(body);
  return elements;
}

Elements split_lines(const Payload& body, std::size_t max_items) {
  const std::string_view text = body.view();
  Elements elements;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (!trim(text.substr(at, end - at)).empty()) {
      if (elements.items.size() == max_items) {
        elements.too_many = true;
        return elements;
      }
      elements.items.push_back({body.slice(at, end - at), at});
    }
    at = end + 1;
  }
  return elements;
}

Result<KeyQuery> parse_key_query(const Payload& body, std::size_t max_keys) {
  if (auto syntax = find_syntax_error(body.view())) return *std::move(syntax);
  KeyQuery query;
  const auto json = nlohmann::json::parse(body.view(), nullptr, false);
  if (!json.is_object()) {
    query.reasons.push_back({"wrong_type", R"(expected an object such as {"keys":["a"]})", ""});
    return query;
  }
  for (const auto& [name, list] : json.items()) {
    const std::string pointer = child_pointer({}, name);
    if (name != "keys" && name != "keys_base64") {
      query.reasons.push_back({"unknown_field", "only keys and keys_base64 are known here", pointer});
    } else if (!list.is_array()) {
      query.reasons.push_back({"wrong_type", "expected an array of keys", pointer});
    } else if (list.size() > max_keys) {
      query.reasons.push_back({"too_many_keys", fmt::format("{} keys, limit {}", list.size(), max_keys), pointer});
    } else {
      std::size_t index = 0;
      for (const auto& key : list)
        if (!add_key(query, key, name == "keys_base64", child_pointer(pointer, fmt::format_int(index++).str()))) break;
    }
  }
  if (query.keys.empty() && query.reasons.empty()) query.reasons.push_back({"keys_missing", "at least one key is needed", "/keys"});
  if (query.keys.size() > max_keys)
    query.reasons.push_back({"too_many_keys", fmt::format("{} keys, limit {}", query.keys.size(), max_keys), "/keys"});
  return query;
}

}  // namespace setget::inline v0::detail
