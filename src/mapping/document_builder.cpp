#include "mapping/document_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <new>
#include <numeric>

#include "mapping/json_string.hpp"
#include "mapping/number.hpp"

namespace setget::inline v0::jmespath::detail {
namespace {

bool white(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

std::string_view DocumentBuilder::token() const noexcept {
  const std::size_t begin = tokens_[at_];
  std::size_t end = at_ + 1 < tokens_.size() ? tokens_[at_ + 1] : text_.size();
  while (end > begin + 1 && white(text_[end - 1])) --end;
  return text_.substr(begin, end - begin);
}

DocumentBuilder::Next DocumentBuilder::fail(std::string message) {
  const std::size_t position = at_ < tokens_.size() ? tokens_[at_] : text_.size();
  error_.emplace(ErrorCode::kInvalidArgument, fmt::format("not JSON: {}", message));
  error_->at_position(position);
  return Next::kFailed;
}

std::optional<Value> DocumentBuilder::build() {
  Next next = Next::kValue;
  for (;;) {
    switch (next) {
      case Next::kValue:
        next = value();
        break;
      case Next::kFirstValue:
        next = peek() == ']' ? close() : value();
        break;
      case Next::kFirstName:
        next = peek() == '}' ? close() : name();
        break;
      case Next::kName:
        next = name();
        break;
      case Next::kAfter:
        next = after();
        break;
      case Next::kDone: {
        if (at_ < tokens_.size()) {
          next = fail("nothing may follow the value");
          break;
        }
        return stack_->values.back();
      }
      case Next::kFailed:
        return std::nullopt;
    }
  }
}

DocumentBuilder::Next DocumentBuilder::add(const Value& value) {
  stack_->values.push_back(value);
  return stack_->frames.empty() ? Next::kDone : Next::kAfter;
}

DocumentBuilder::Next DocumentBuilder::value() {
  const char first = peek();
  if (first == '{' || first == '[') return open(first == '{');
  if (at_ == tokens_.size()) return fail("the text ends where a value is expected");
  return scalar();
}

DocumentBuilder::Next DocumentBuilder::scalar() {
  if (peek() == '"') {
    const auto text = string();
    if (!text) return Next::kFailed;
    ++at_;
    return add(*text);
  }
  const auto word = token();
  auto kind = Access::Kind::kReadNumber;
  if (word == "null") {
    kind = Access::Kind::kReadNull;
  } else if (word == "true") {
    kind = Access::Kind::kReadTrue;
  } else if (word == "false") {
    kind = Access::Kind::kReadFalse;
  } else if (!is_number(word)) {
    return fail("expected a value");
  }
  ++at_;
  return add(Access::of_text(kind, word));
}

std::optional<Value> DocumentBuilder::string() {
  const auto quoted = token();
  const auto inner = quoted.substr(1, quoted.size() - 2);
  if (inner.empty() || std::memchr(inner.data(), '\\', inner.size()) == nullptr) return Access::of_text(Access::Kind::kReadString, inner);
  // Before the decoded characters stands where they were read.
  auto* decoded = arena_->take<char>(sizeof(const char*) + inner.size());
  const char* start = quoted.data();
  std::memcpy(decoded, &start, sizeof start);
  decoded += sizeof start;
  const auto done = decode_string(inner, decoded);
  if (!done.problem.empty()) {
    const auto position = static_cast<std::size_t>(inner.data() - text_.data()) + done.size;
    error_.emplace(ErrorCode::kInvalidArgument, fmt::format("not JSON: {}", done.problem));
    error_->at_position(position);
    return std::nullopt;
  }
  return Access::of_text(Access::Kind::kReadEscaped, {decoded, done.size});
}

DocumentBuilder::Next DocumentBuilder::name() {
  if (peek() != '"') return fail("expected the name of a member");
  const auto text = string();
  if (!text) return Next::kFailed;
  ++at_;
  if (peek() != ':') return fail("expected ':' after the name of a member");
  ++at_;
  stack_->names.emplace_back(Access::text(*text));
  stack_->hashes.push_back(name_hash(Access::text(*text)));
  return Next::kValue;
}

DocumentBuilder::Next DocumentBuilder::open(bool object) {
  if (stack_->frames.size() == max_depth_) {
    error_.emplace(ErrorCode::kTooLarge, fmt::format("nested deeper than {}", max_depth_));
    error_->at_position(tokens_[at_]);
    return Next::kFailed;
  }
  stack_->frames.push_back({text_.data() + tokens_[at_], stack_->values.size(), stack_->names.size(), object});
  ++at_;
  return object ? Next::kFirstName : Next::kFirstValue;
}

DocumentBuilder::Next DocumentBuilder::after() {
  const bool object = stack_->frames.back().object;
  const char mark = peek();
  if (mark == ',') {
    ++at_;
    return object ? Next::kName : Next::kValue;
  }
  if (mark == (object ? '}' : ']')) return close();
  return fail(object ? "expected ',' or '}'" : "expected ',' or ']'");
}

DocumentBuilder::Next DocumentBuilder::close() {
  const auto frame = stack_->frames.back();
  stack_->frames.pop_back();
  if (frame.object) keep_last_of_repeated(frame.first_name, frame.first_value);
  const std::size_t count = stack_->values.size() - frame.first_value;
  const Block* made = block(frame, count);
  stack_->values.resize(frame.first_value);
  ++at_;
  return add(Access::of_block(frame.object ? Access::Kind::kReadObject : Access::Kind::kReadArray, made, count));
}

const Block* DocumentBuilder::block(const BuildStack::Frame& frame, std::size_t count) {
  const std::size_t tags = frame.object ? padded_tags(count) : 0;
  char* at = arena_->take<char>(sizeof(Block) + tags + count * ((frame.object ? sizeof(Name) : 0) + sizeof(Value)));
  const auto bytes = static_cast<std::uint32_t>(text_.data() + tokens_[at_] + 1 - frame.start);
  const auto* made = new (at) Block{frame.start, bytes};
  at += sizeof(Block);
  const auto copy = [&at]<class T>(const std::vector<T>& from, std::size_t first) {
    const std::size_t size = (from.size() - first) * sizeof(T);
    if (size != 0) std::memcpy(at, from.data() + first, size);
    at += size;
  };
  if (frame.object) {
    for (std::size_t i = 0; i < count; ++i) at[i] = static_cast<char>(tag_of(stack_->hashes[frame.first_name + i]));
    std::memset(at + count, 0, tags - count);
    at += tags;
    copy(stack_->names, frame.first_name);
    stack_->names.resize(frame.first_name);
    stack_->hashes.resize(frame.first_name);
  }
  copy(stack_->values, frame.first_value);
  return made;
}

// Objects are small, and repeated names rare: a filter says which names are worth a search.
void DocumentBuilder::keep_last_of_repeated(std::size_t first_name, std::size_t first_value) {
  constexpr std::size_t kSmall = 64;
  const std::size_t count = stack_->names.size() - first_name;
  if (count > kSmall) return keep_last_sorted(first_name, first_value);
  std::bitset<1024> seen;
  std::vector<bool> dropped;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t hash = stack_->hashes[first_name + i];
    if (!seen.test(hash & 1023)) {
      seen.set(hash & 1023);
      continue;
    }
    for (std::size_t before = 0; before < i; ++before) {
      if (stack_->hashes[first_name + before] != hash || !(stack_->names[first_name + before] == stack_->names[first_name + i])) continue;
      stack_->values[first_value + before] = stack_->values[first_value + i];
      dropped.resize(count);
      dropped[i] = true;
      break;
    }
  }
  if (!dropped.empty()) drop_marked(first_name, first_value, dropped);
}

void DocumentBuilder::keep_last_sorted(std::size_t first_name, std::size_t first_value) {
  const std::size_t count = stack_->names.size() - first_name;
  const auto* names = stack_->names.data() + first_name;
  const auto* hashes = stack_->hashes.data() + first_name;
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (hashes[a] != hashes[b]) return hashes[a] < hashes[b];
    const int order_of_names = names[a].view().compare(names[b].view());
    return order_of_names != 0 ? order_of_names < 0 : a < b;
  });
  std::vector<bool> dropped;
  std::size_t first = 0;  // in `order`: of those with the same name
  for (std::size_t i = 1; i < count; ++i) {
    if (hashes[order[i]] != hashes[order[first]] || !(names[order[i]] == names[order[first]])) {
      first = i;
      continue;
    }
    stack_->values[first_value + order[first]] = stack_->values[first_value + order[i]];
    dropped.resize(count);
    dropped[order[i]] = true;
  }
  if (!dropped.empty()) drop_marked(first_name, first_value, dropped);
}

void DocumentBuilder::drop_marked(std::size_t first_name, std::size_t first_value, const std::vector<bool>& dropped) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < dropped.size(); ++i) {
    if (dropped[i]) continue;
    stack_->names[first_name + kept] = stack_->names[first_name + i];
    stack_->hashes[first_name + kept] = stack_->hashes[first_name + i];
    stack_->values[first_value + kept] = stack_->values[first_value + i];
    ++kept;
  }
  stack_->names.resize(first_name + kept);
  stack_->hashes.resize(first_name + kept);
  stack_->values.resize(first_value + kept);
}

}  // namespace setget::inline v0::jmespath::detail
