#include "mapping/document_builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
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
  error_.emplace(ErrorCode::kInvalidArgument, fmt::format("not JSON: byte {}: {}", position, message));
  error_->at_position(position);
  return Next::kFailed;
}

const Node* DocumentBuilder::build() {
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
        auto* root = arena_->take<Node>(1);
        *root = stack_->values.back();
        return root;
      }
      case Next::kFailed:
        return nullptr;
    }
  }
}

DocumentBuilder::Next DocumentBuilder::add(const Node& node) {
  stack_->values.push_back(node);
  return stack_->frames.empty() ? Next::kDone : Next::kAfter;
}

DocumentBuilder::Next DocumentBuilder::value() {
  const char first = peek();
  if (first == '{' || first == '[') return open(first == '{');
  if (at_ == tokens_.size()) return fail("the text ends where a value is expected");
  Node node;
  return scalar(node);
}

DocumentBuilder::Next DocumentBuilder::scalar(Node& node) {
  if (peek() == '"') {
    if (!string(node)) return Next::kFailed;
    ++at_;
    return add(node);
  }
  const auto word = token();
  node.text = word.data();
  node.size = static_cast<std::uint32_t>(word.size());
  node.block = nullptr;
  if (word == "null") {
    node.type = NodeType::kNull;
  } else if (word == "true") {
    node.type = NodeType::kTrue;
  } else if (word == "false") {
    node.type = NodeType::kFalse;
  } else if (is_number(word)) {
    node.type = NodeType::kNumber;
  } else {
    return fail("expected a value");
  }
  ++at_;
  return add(node);
}

bool DocumentBuilder::string(Node& node) {
  const auto quoted = token();
  const auto inner = quoted.substr(1, quoted.size() - 2);
  node.type = NodeType::kString;
  node.text = inner.data();
  node.size = static_cast<std::uint32_t>(inner.size());
  node.start = quoted.data();
  if (inner.empty() || std::memchr(inner.data(), '\\', inner.size()) == nullptr) return true;
  auto* decoded = arena_->take<char>(inner.size());
  const auto done = decode_string(inner, decoded);
  if (!done.problem.empty()) {
    const auto position = static_cast<std::size_t>(inner.data() - text_.data()) + done.size;
    error_.emplace(ErrorCode::kInvalidArgument, fmt::format("not JSON: byte {}: {}", position, done.problem));
    error_->at_position(position);
    return false;
  }
  node.text = decoded;
  node.size = static_cast<std::uint32_t>(done.size);
  node.escaped = true;
  return true;
}

DocumentBuilder::Next DocumentBuilder::name() {
  if (peek() != '"') return fail("expected the name of a member");
  Node node;
  if (!string(node)) return Next::kFailed;
  ++at_;
  if (peek() != ':') return fail("expected ':' after the name of a member");
  ++at_;
  stack_->names.push_back(node.view());
  stack_->hashes.push_back(name_hash(node.view()));
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
  const auto fill = [](auto* to, const auto& from, std::size_t first) {
    std::copy(from.begin() + static_cast<std::ptrdiff_t>(first), from.end(), to);
  };
  auto* block = arena_->take<Block>(1);
  *block = {};
  block->count = static_cast<std::uint32_t>(count);
  auto* values = arena_->take<Node>(count);
  fill(values, stack_->values, frame.first_value);
  block->values = values;
  if (frame.object) {
    auto* names = arena_->take<std::string_view>(count);
    fill(names, stack_->names, frame.first_name);
    const std::size_t padded = (count + kHashBlock - 1) / kHashBlock * kHashBlock;
    auto* hashes = arena_->take<std::uint32_t>(padded);
    fill(hashes, stack_->hashes, frame.first_name);
    std::fill(hashes + count, hashes + padded, 0u);
    block->names = names;
    block->hashes = hashes;
    stack_->names.resize(frame.first_name);
    stack_->hashes.resize(frame.first_name);
  }
  stack_->values.resize(frame.first_value);
  Node node;
  node.text = frame.start;
  node.size = static_cast<std::uint32_t>(text_.data() + tokens_[at_] + 1 - frame.start);
  node.type = frame.object ? NodeType::kObject : NodeType::kArray;
  node.block = block;
  ++at_;
  return add(node);
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
    if (!seen.test(hash >> 22)) {
      seen.set(hash >> 22);
      continue;
    }
    for (std::size_t before = 0; before < i; ++before) {
      if (stack_->hashes[first_name + before] != hash || stack_->names[first_name + before] != stack_->names[first_name + i]) continue;
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
    const int names_differ = names[a].compare(names[b]);
    return names_differ != 0 ? names_differ < 0 : a < b;
  });
  std::vector<bool> dropped;
  std::size_t first = 0;  // in `order`: of those with the same name
  for (std::size_t i = 1; i < count; ++i) {
    if (hashes[order[i]] != hashes[order[first]] || names[order[i]] != names[order[first]]) {
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
