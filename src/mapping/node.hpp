// What a parsed document is made of, and the inside of a Value. Thread rule: immutable once built.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <setget/jmespath.hpp>

namespace setget::inline v0::jmespath::detail {

enum class NodeType : std::uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

// The children of an array or object, side by side. Of objects also names and their hashes; hashes are padded to a multiple of kHashBlock.
struct Block {
  std::uint32_t count = 0;
  const Node* values = nullptr;
  const std::string_view* names = nullptr;
  const std::uint32_t* hashes = nullptr;
};

struct Node {
  const char* text = nullptr;  // strings: the decoded characters; all else: where it starts in the document
  std::uint32_t size = 0;      // of that, in bytes
  NodeType type = NodeType::kNull;
  bool escaped = false;  // a string with escapes: `text` is not in the document, `start` is
  union {
    const Block* block;  // arrays and objects
    const char* start;   // escaped strings: their opening quote
  };
  std::string_view view() const noexcept { return {text, size}; }
};

struct Member {
  std::string_view name;
  Value value;
};

constexpr std::size_t kHashBlock = 8;

// Of the first and last eight bytes and the length: names that differ only between them are told apart by comparing. Never 0, which pads.
inline std::uint32_t name_hash(std::string_view name) noexcept {
  const char* text = name.data();
  const std::size_t size = name.size();
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (size >= 8) {
    std::memcpy(&first, text, 8);
    std::memcpy(&last, text + size - 8, 8);
  } else if (size >= 4) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, text, 4);
    std::memcpy(&high, text + size - 4, 4);
    first = low;
    last = high;
  } else if (size > 0) {
    first = static_cast<unsigned char>(text[0]);
    last = static_cast<std::uint64_t>(static_cast<unsigned char>(text[size / 2])) << 8 | static_cast<unsigned char>(text[size - 1]);
  }
  std::uint64_t mixed = (first ^ (size * 0x9E3779B97F4A7C15u)) * 0xD6E8FEB86659FD93u;
  mixed = (mixed ^ (mixed >> 32) ^ last) * 0xD6E8FEB86659FD93u;
  return static_cast<std::uint32_t>(mixed >> 32) | 1u;
}

// The member of that name; block.count if there is none.
inline std::uint32_t find_name(const Block& block, std::string_view name, std::uint32_t hash) noexcept {
  for (std::uint32_t base = 0; base < block.count; base += kHashBlock) {
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < kHashBlock; ++i) found |= static_cast<std::uint32_t>(block.hashes[base + i] == hash) << i;
    for (; found != 0; found &= found - 1) {
      const auto at = base + static_cast<std::uint32_t>(__builtin_ctz(found));
      if (block.names[at] == name) return at;
    }
  }
  return block.count;
}

// The inside of values, for this room.
struct Access {
  using Kind = Value::Kind;
  static Kind kind(const Value& value) noexcept { return value.kind_; }
  static const Node* node(const Value& value) noexcept { return value.content_.node; }
  static const Value* elements(const Value& value) noexcept { return value.content_.elements; }
  static const Member* members(const Value& value) noexcept { return value.content_.members; }
  static std::int64_t integer(const Value& value) noexcept { return value.content_.integer; }
  static std::uint64_t natural(const Value& value) noexcept { return value.content_.natural; }
  static double real(const Value& value) noexcept { return value.content_.number; }
  static std::uint32_t count(const Value& value) noexcept { return value.size_; }
  static std::string_view text(const Value& value) noexcept { return {value.content_.text, value.size_}; }

  static Value of_node(const Node* node) noexcept {
    Value value;
    value.kind_ = Kind::kNode;
    value.content_.node = node;
    return value;
  }
  static Value of_natural(std::uint64_t natural) noexcept {
    Value value;
    value.kind_ = Kind::kUnsigned;
    value.content_.natural = natural;
    return value;
  }
  static Value of_elements(const Value* elements, std::size_t count) noexcept {
    Value value;
    value.kind_ = Kind::kArray;
    value.size_ = static_cast<std::uint32_t>(count);
    value.content_.elements = elements;
    return value;
  }
  static Value of_members(const Member* members, std::size_t count) noexcept {
    Value value;
    value.kind_ = Kind::kObject;
    value.size_ = static_cast<std::uint32_t>(count);
    value.content_.members = members;
    return value;
  }
  static Arena& arena(Workspace& workspace);
};

// find() with the hash at hand; null where there is none or `value` is no object.
inline Value field_of(const Value& value, std::string_view name, std::uint32_t hash) noexcept {
  if (Access::kind(value) == Access::Kind::kNode) {
    const Node* node = Access::node(value);
    if (node->type != NodeType::kObject) return {};
    const auto at = find_name(*node->block, name, hash);
    return at < node->block->count ? Access::of_node(node->block->values + at) : Value();
  }
  if (Access::kind(value) != Access::Kind::kObject) return {};
  const Member* members = Access::members(value);
  for (std::uint32_t i = 0; i < Access::count(value); ++i)
    if (members[i].name == name) return members[i].value;
  return {};
}

// Value::json() behind what `out` holds; false once that is more than `max_bytes`.
bool append_json(const Value& value, std::size_t max_bytes, std::string& out);

}  // namespace setget::inline v0::jmespath::detail
