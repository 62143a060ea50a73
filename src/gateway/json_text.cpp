// JSON bodies that are not one envelope: batches, key queries, and where a text stops being JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/json_pointer.hpp"
#include "gateway/base64.hpp"
#include "gateway/envelope.hpp"
#include "gateway/media_type.hpp"
#include "gateway/simdjson_scratch.hpp"

namespace setget::inline v0::detail {
namespace {

// Listens only for the first error; nothing is built.
class SyntaxListener : public nlohmann::json::json_sax_t {
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

Error not_json(std::size_t position, std::string_view what) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("not JSON: byte {}: {}", position, what)).at_position(position);
}

std::optional<Error> syntax_error(const SyntaxListener& heard, std::string_view json, std::size_t offset) {
  if (!heard.position_) {
    // Which no JSON has; but the library takes it for the end of the text, whatever follows.
    const std::size_t nul = json.find('\0');
    return nul == std::string_view::npos ? std::nullopt : std::optional(not_json(offset + nul, "syntax error - a NUL byte"));
  }
  // What it read is bytes past a byte-order mark; those three are part of the body.
  return not_json(offset + std::min(*heard.position_, json.size()), heard.what_);
}

// Collects the keys of a multi-get. What it keeps is bounded by the limits and not by the body: it builds no tree, and hears no more once
// it knows enough to refuse.
class KeyListener final : public SyntaxListener {
 public:
  KeyListener(std::size_t max_keys, std::size_t max_reasons) : max_keys_(max_keys), max_reasons_(max_reasons) {}

  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(number_integer_t) override { return other(); }
  bool number_unsigned(number_unsigned_t) override { return other(); }
  bool number_float(number_float_t, const string_t&) override { return other(); }
  bool string(string_t& text) override { return depth_ == kInList && list_ != nullptr ? add(text) : other(); }
  bool start_object(std::size_t) override { return (depth_ == 0 || other()) && enter(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override {
    const bool is_list = depth_ == kInObject && list_ != nullptr;
    if (is_list) index_ = 0;
    return (is_list || other()) && enter();
  }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    if (depth_ != kInObject) return true;
    pointer_ = child_pointer({}, name);
    list_ = name == "keys" ? &plain_ : name == "keys_base64" ? &base64_ : nullptr;
    if (list_ == nullptr) return refuse("unknown_field", "only keys and keys_base64 are known here", pointer_);
    return !std::exchange(list_->named, true) || refuse("duplicate_name", "the name appears twice", pointer_);
  }
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::detail::exception& error) override {
    SyntaxListener::parse_error(position, token, error);
    if (!position_) other();  // a number that is too large
    return false;
  }

  // What was heard; only once.
  KeyQuery take() {
    KeyQuery query{std::move(plain_.keys), 0, std::move(reasons_)};
    query.plain_keys = query.keys.size();
    std::ranges::move(base64_.keys, std::back_inserter(query.keys));
    return query;
  }

 private:
  // Where a value stands: {"keys":["here"]}.
  static constexpr std::size_t kInObject = 1;
  static constexpr std::size_t kInList = 2;
  struct List {
    std::vector<std::string> keys;
    bool named = false;
  };

  bool enter() noexcept {
    ++depth_;
    return true;
  }
  bool leave() noexcept {
    --depth_;
    return true;
  }
  bool refuse(std::string code, std::string message, std::string pointer) {
    reasons_.push_back({std::move(code), std::move(message), std::move(pointer)});
    return reasons_.size() < max_reasons_;
  }
  std::string next_pointer() { return child_pointer(pointer_, fmt::format_int(index_++).str()); }

  bool add(const std::string& text) {
    if (plain_.keys.size() + base64_.keys.size() == max_keys_) {
      refuse("too_many_keys", fmt::format("more than {} keys", max_keys_), pointer_);
      return false;
    }
    if (list_ == &plain_) {
      ++index_;
      list_->keys.push_back(text);
      return true;
    }
    auto bytes = decode_base64(text);
    if (!bytes) return refuse("bad_base64", "not base64 (RFC 4648 section 4, with padding)", next_pointer());
    ++index_;
    list_->keys.push_back(*std::move(bytes));
    return true;
  }

  // A value that is not what is wanted in its place.
  bool other() {
    if (depth_ == 0) {
      refuse("wrong_type", R"(expected an object such as {"keys":["a"]})", "");
      return false;
    }
    if (list_ == nullptr || depth_ > kInList) return true;
    if (depth_ == kInObject) {
      list_ = nullptr;  // nothing in it is a key
      return refuse("wrong_type", "expected an array of keys", pointer_);
    }
    return refuse("wrong_type", "expected a string", next_pointer());
  }

  std::size_t max_keys_;
  std::size_t max_reasons_;
  List plain_;
  List base64_;
  std::vector<Reason> reasons_;
  std::size_t depth_ = 0;
  List* list_ = nullptr;  // of the name that was heard last; nullptr where it is none of the two
  std::string pointer_;   // of that name
  std::size_t index_ = 0;
};

}  // namespace

std::optional<Error> find_syntax_error(std::string_view json, std::size_t offset) {
  SyntaxListener listener;
  nlohmann::json::sax_parse(json.begin(), json.end(), &listener);
  return syntax_error(listener, json, offset);
}

Result<Elements> split_array(const Payload& body, std::size_t max_items) {
  SimdjsonScratch scratch(body.view());
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  if (scratch.iterate(document) != simdjson::SUCCESS || document.get_array().get(array) != simdjson::SUCCESS) return not_an_array(body);
  Elements elements;
  for (auto item : array) {
    simdjson::ondemand::value element;
    std::string_view raw;
    if (std::move(item).get(element) != simdjson::SUCCESS ||  // NOLINT(performance-move-const-arg): get() is of rvalues only
        simdjson::to_json_string(element).get(raw) != simdjson::SUCCESS)
      return not_an_array(body);
    // That reads no string, and one that is passed over unread is taken for a name where a colon follows it.
    if (simdjson::ondemand::raw_json_string read; raw.starts_with('"') && element.get_raw_json_string().get(read) != simdjson::SUCCESS)
      return not_an_array(body);
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

Result<KeyQuery> parse_key_query(const Payload& body, std::size_t max_keys, std::size_t max_reasons) {
  const std::string_view json = body.view();
  KeyListener listener(max_keys, max_reasons);
  nlohmann::json::sax_parse(json.begin(), json.end(), &listener);
  if (auto syntax = syntax_error(listener, json, 0)) return *std::move(syntax);
  KeyQuery query = listener.take();
  if (query.keys.empty() && query.reasons.empty()) query.reasons.push_back({"keys_missing", "at least one key is needed", "/keys"});
  return query;
}

}  // namespace setget::inline v0::detail
