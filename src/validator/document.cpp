#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <setget/validator.hpp>

#include "validator/document_impl.hpp"
#include "validator/json_reader.hpp"
#include "validator/json_tiny.hpp"

namespace setget::inline v0::detail::schema {

struct FastParser::State {
  simdjson::dom::document document{};
  std::unique_ptr<char[]> buffer{};
  std::size_t capacity = 0;
};

namespace {

// What parsing needs beside its result is the thread's, not each document's.
struct Workshop {
  simdjson::dom::parser parser{};
  std::size_t depth = 0;
};
Workshop& workshop() {
  thread_local Workshop own;
  return own;
}

}  // namespace

FastParser::FastParser() : state_(std::make_unique<State>()) {}
FastParser::~FastParser() = default;

bool FastParser::parse(std::string_view json, std::size_t max_depth) {
  auto& state = *state_;
  auto& shop = workshop();
  const auto needed = json.size() + simdjson::SIMDJSON_PADDING;
  if (state.capacity < needed) {
    state.buffer = std::make_unique<char[]>(needed);
    state.capacity = needed;
  }
  std::memcpy(state.buffer.get(), json.data(), json.size());
  std::memset(state.buffer.get() + json.size(), 0, simdjson::SIMDJSON_PADDING);
  if (shop.parser.capacity() < json.size() || shop.depth != max_depth) {
    // One more: simdjson's depth counts the document itself.
    if (shop.parser.allocate(std::max(json.size(), std::size_t{4096}), max_depth + 1) != simdjson::SUCCESS) return false;
    shop.depth = max_depth;
  }
  text_ = {state.buffer.get(), json.size()};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(state.buffer.get());
  const bool parsed = shop.parser.parse_into_document(state.document, bytes, json.size(), false).error() == simdjson::SUCCESS;
  if (json.size() > kKeptBytes) shop = Workshop();
  return parsed;
}

Tape FastParser::tape() const noexcept { return {state_->document.tape.get(), state_->document.string_buf.get()}; }

void FastParser::shrink() {
  if (state_->capacity > kKeptBytes) {
    state_ = std::make_unique<State>();
    text_ = {};
  }
}

bool Exactness::is_exact() const noexcept {
  auto known = known_.load(std::memory_order_relaxed);
  if (known == kUnknown) {
    known = may_round(text_) ? kRounded : kExact;
    known_.store(known, std::memory_order_relaxed);
  }
  return known == kExact;
}

Result<void> Parsed::parse(std::string_view json, std::size_t max_depth) {
  is_fast = fast.parse(json, max_depth);
  exactness.reset(is_fast ? fast.text() : std::string_view());
  return is_fast ? Result<void>() : read_json(json, max_depth, exact);
}

}  // namespace setget::inline v0::detail::schema

namespace setget::inline v0::json_schema {

using detail::schema::Parsed;
using detail::schema::SmallDocument;
using detail::schema::TapeWriter;
using detail::schema::TinyReader;

namespace {

constexpr std::size_t kSmall = 16U << 10;  // bytes of text
constexpr std::size_t kTiny = 256;         // bytes of text that are looked through for numbers when they are read
constexpr std::size_t kPastTheEnd = 32;    // readable beyond tape and strings
constexpr std::uint64_t kNullTape[8] = {detail::schema::make_word('r', 2), detail::schema::make_word('n', 0),
                                        detail::schema::make_word('r', 0)};
constexpr std::uint8_t kNoStrings[kPastTheEnd] = {};
constexpr DocumentView kNull = {kNullTape, kNoStrings};

}  // namespace

Result<DocumentView> Document::Impl::parse(std::string_view json, std::size_t max_depth) {
  exactness.reset();
  used = 0;
  if (json.size() <= kSmall) {
    thread_local Parsed shop;
    if (auto parsed = shop.parse(json, max_depth); !parsed) return parsed.error();
    large.reset();
    return pack(shop, shop.exactness.text().size());
  }
  if (!large) large = std::make_unique<Parsed>();
  if (auto parsed = large->parse(json, max_depth); !parsed) return parsed.error();
  exactness.reset(large->exactness.text());
  const auto tape = large->tape();
  return DocumentView{tape.words, tape.strings};
}

DocumentView Document::Impl::pack(const Parsed& from, std::size_t text_size) {
  const auto tape = from.tape();
  // The root word names the last root; simdjson's what comes after it.
  const auto words = detail::schema::payload_of(tape.words[0]) + (from.is_fast ? 0 : 1);
  // What strings take at most: five bytes more than their letters, of which two were quotes and one a separator.
  const auto strings = from.is_fast ? text_size * 5 / 3 + 8 : from.exact.string_bytes();
  // The strings are what is readable beyond the tape; the text of what is exact tells nothing more.
  const std::string_view given(from.exactness.text().data(), text_size);
  if (text_size <= kTiny && !detail::schema::may_round(given)) text_size = 0;
  const auto needed = words + (strings + kPastTheEnd + text_size) / 8 + 1;
  if (capacity < needed) {
    block = std::make_unique<std::uint64_t[]>(needed);
    capacity = needed;
  }
  std::memcpy(block.get(), tape.words, words * 8);
  auto* const to = reinterpret_cast<std::uint8_t*>(block.get() + words);
  std::memcpy(to, tape.strings, strings);
  auto* const text = reinterpret_cast<char*>(to + strings + kPastTheEnd);
  if (text_size > 0) std::memcpy(text, given.data(), text_size);
  exactness.reset({text, text_size});
  if (text_size == 0) used = needed;
  return {block.get(), to};
}

// NOLINTBEGIN(cppcoreguidelines-pro-type-member-init): tiny_ is written where it is read
Document::Document() noexcept : view_(kNull) {}
Document::~Document() = default;
Document::Document(Document&& other) noexcept { take(other); }
// NOLINTEND(cppcoreguidelines-pro-type-member-init)
Document& Document::operator=(Document&& other) noexcept {
  if (this != &other) take(other);
  return *this;
}

void Document::take(Document& other) noexcept {
  view_ = other.view_;
  if (other.is_tiny()) {
    std::memcpy(tiny_, other.tiny_, sizeof tiny_);
    view_ = {tiny_ + (other.view_.tape - other.tiny_), reinterpret_cast<const std::uint8_t*>(tiny_)};
  }
  other.view_ = kNull;
  root_tag_ = std::exchange(other.root_tag_, 'n');
  impl_ = std::move(other.impl_);
}

Result<void> Document::parse(std::string_view json, std::size_t max_depth) {
  view_ = kNull;
  root_tag_ = 'n';
  if (json.size() > (std::size_t{1} << 30)) return Error(ErrorCode::kTooLarge, fmt::format("JSON: {} bytes, limit 1 GiB", json.size()));
  if (max_depth == 0 || max_depth > 4096) return Error(ErrorCode::kInvalidArgument, "max_depth is in [1, 4096]").at_field("max_depth");
  if (json.size() <= TinyReader::kMostText) {
    TinyReader reader;
    if (reader.parse(json, max_depth) && reader.words() * 8 + reader.string_bytes() <= sizeof tiny_) {
      static_assert(sizeof(Document) - sizeof tiny_ >= kPastTheEnd);
      static_assert(offsetof(Document, tiny_) == 0 && sizeof(Document) >= SmallDocument::kTinyWords * 8);
      auto* const tape = tiny_ + (kTinyWords - reader.words());
      std::memcpy(tiny_, reader.tape().strings, reader.string_bytes());
      std::memcpy(tape, reader.tape().words, reader.words() * 8);
      view_ = {tape, reinterpret_cast<const std::uint8_t*>(tiny_)};
      root_tag_ = static_cast<char>(detail::schema::tag_of(tape[1]));
      return {};
    }
  }
  if (!impl_) impl_ = std::make_unique<Impl>();
  auto parsed = impl_->parse(json, max_depth);
  if (!parsed) return parsed.error();
  view_ = *parsed;
  root_tag_ = static_cast<char>(detail::schema::tag_of(view_.tape[1]));
  return {};
}

struct Document::Builder::State {
  std::unique_ptr<Parsed> parsed = std::make_unique<Parsed>();
  std::size_t max_depth = 256;
  std::vector<char> open{};  // '{' where a name comes next, ':' where its value does, '['
  bool has_root = false;
  std::string problem{};
  ErrorCode code = ErrorCode::kInvalidArgument;

  TapeWriter& out() { return parsed->exact; }
  bool fail(std::string_view what, ErrorCode why = ErrorCode::kInvalidArgument) {
    if (problem.empty()) problem = what, code = why;
    return false;
  }
  // Whether a value may stand here.
  bool value() {
    if (!problem.empty()) return false;
    if (open.empty()) {
      if (has_root) return fail("a second value");
      has_root = true;
      return true;
    }
    if (open.back() == '{') return fail("a value without a name");
    if (open.back() == ':') {
      open.back() = '{';
    } else {
      out().count();
    }
    return true;
  }
  void begin(char tag) {
    if (!value()) return;
    if (open.size() >= max_depth) {
      fail(fmt::format("nested deeper than {}", max_depth), ErrorCode::kTooLarge);
      return;
    }
    open.push_back(tag);
    out().begin(tag);
  }
  void end(char tag) {
    if (!problem.empty()) return;
    if (open.empty() || open.back() != tag) {
      fail(tag == '{' ? "end_object() where no object ends" : "end_array() where no array ends");
      return;
    }
    open.pop_back();
    out().end(tag == '{' ? '}' : ']');
  }
};

Document::Builder::Builder(std::size_t max_depth) : state_(std::make_unique<State>()) {
  state_->max_depth = max_depth < 4096 ? max_depth : 4096;
  state_->out().clear();
}
Document::Builder::~Builder() = default;
Document::Builder::Builder(Builder&&) noexcept = default;
Document::Builder& Document::Builder::operator=(Builder&&) noexcept = default;

void Document::Builder::null() {
  if (state_->value()) state_->out().literal('n');
}
void Document::Builder::boolean(bool value) {
  if (state_->value()) state_->out().literal(value ? 't' : 'f');
}
void Document::Builder::integer(std::int64_t value) {
  if (state_->value()) state_->out().integer(value);
}
void Document::Builder::unsigned_integer(std::uint64_t value) {
  if (!state_->value()) return;
  if (value <= INT64_MAX) {
    state_->out().integer(static_cast<std::int64_t>(value));
  } else {
    state_->out().unsigned_integer(value);
  }
}
void Document::Builder::number(double value) {
  if (!state_->value()) return;
  if (!std::isfinite(value)) {
    state_->fail("a number is finite");
    return;
  }
  state_->out().number(value);
}
void Document::Builder::number_text(std::string_view json_number) {
  if (state_->value() && !detail::schema::write_number(json_number, state_->out())) state_->fail("not a JSON number");
}
void Document::Builder::string(std::string_view utf8) {
  if (!state_->value()) return;
  if (!is_utf8(utf8)) {
    state_->fail("a string is UTF-8");
    return;
  }
  state_->out().text('"', utf8);
}
void Document::Builder::begin_object() { state_->begin('{'); }
void Document::Builder::name(std::string_view utf8) {
  if (!state_->problem.empty()) return;
  if (state_->open.empty() || state_->open.back() != '{') {
    state_->fail("a name where none is expected");
    return;
  }
  if (!is_utf8(utf8)) {
    state_->fail("a name is UTF-8");
    return;
  }
  state_->open.back() = ':';
  state_->out().count();
  state_->out().text('"', utf8);
}
void Document::Builder::end_object() { state_->end('{'); }
void Document::Builder::begin_array() { state_->begin('['); }
void Document::Builder::end_array() { state_->end('['); }

Result<Document> Document::Builder::finish() && {
  if (state_->problem.empty() && (!state_->has_root || !state_->open.empty())) state_->fail("not finished");
  if (!state_->problem.empty()) return Error(state_->code, "JSON: " + state_->problem);
  state_->out().finish();
  Document document;
  document.impl_ = std::make_unique<Impl>();
  document.impl_->large = std::move(state_->parsed);
  const auto tape = document.impl_->large->tape();
  document.view_ = {tape.words, tape.strings};
  document.root_tag_ = static_cast<char>(detail::schema::tag_of(tape.words[1]));
  return document;
}

}  // namespace setget::inline v0::json_schema
