#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <setget/validator.hpp>

#include "validator/document_impl.hpp"
#include "validator/json_reader.hpp"

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

}  // namespace setget::inline v0::detail::schema

namespace setget::inline v0::json_schema {

using detail::schema::TapeWriter;

Result<void> Document::Impl::parse(std::string_view json, std::size_t max_depth) {
  is_fast = fast.parse(json, max_depth);
  if (is_fast) return {};
  auto read = detail::schema::read_json(json, max_depth, exact);
  if (!read) {
    exact.clear();
    exact.literal('n');
    exact.finish();
  }
  return read;
}

Document::Document() : impl_(std::make_unique<Impl>()) {
  impl_->exact.literal('n');
  impl_->exact.finish();
}
Document::~Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;

Result<void> Document::parse(std::string_view json, std::size_t max_depth) {
  if (!impl_) *this = Document();
  if (json.size() > (std::size_t{1} << 30)) return Error(ErrorCode::kTooLarge, fmt::format("JSON: {} bytes, limit 1 GiB", json.size()));
  if (max_depth == 0 || max_depth > 4096) return Error(ErrorCode::kInvalidArgument, "max_depth is in [1, 4096]").at_field("max_depth");
  return impl_->parse(json, max_depth);
}

DocumentView Document::view() const noexcept {
  if (!impl_) return {};
  const auto tape = impl_->tape();
  return {tape.words, tape.strings};
}

struct Document::Builder::State {
  Document document{};
  std::size_t max_depth = 256;
  std::vector<char> open{};  // '{' where a name comes next, ':' where its value does, '['
  bool has_root = false;
  std::string problem{};
  ErrorCode code = ErrorCode::kInvalidArgument;

  TapeWriter& out() { return document.impl_->exact; }
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
  return std::move(state_->document);
}

}  // namespace setget::inline v0::json_schema
