// The inside of a Value, and how arrays and objects of a document lie in memory. Thread rule: immutable once built.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <setget/jmespath.hpp>

namespace setget::inline v0::jmespath::detail {

// What precedes the children of an array or object that was read. Behind it, of an array: its values; of an object: one tag for each name
// (padded to kTagBlock with zeros), its names, its values. One piece, because finding a member is mostly waiting for memory.
struct alignas(16) Block {
  const char* text = nullptr;  // where it starts in the document
  std::uint32_t bytes = 0;     // of it there
};
constexpr std::size_t kTagBlock = 16;

constexpr std::size_t kTextStep = 64;  // bytes of text that count as one step
constexpr std::uint8_t kFreeMembers = 64;

// A member that an expression made.
struct Member {
  std::string_view name;
  Value value;
};

// A name of a member: 15 bytes stand in it, longer ones where they are. Equal short names are equal bytes, so the document is not looked
// at.
class Name {
 public:
  Name() = default;
  explicit Name(std::string_view name) noexcept {
    if (name.size() <= kShort) {
      std::memcpy(bytes_.data(), name.data(), name.size());
      bytes_[kShort] = static_cast<char>(name.size());
      return;
    }
    const char* text = name.data();
    const auto size = static_cast<std::uint32_t>(name.size());
    std::memcpy(bytes_.data(), &text, sizeof text);
    std::memcpy(bytes_.data() + sizeof text, &size, sizeof size);
    bytes_[kShort] = kLong;
  }
  // Into this object where the name is short.
  std::string_view view() const noexcept {
    if (bytes_[kShort] != kLong) return {bytes_.data(), static_cast<unsigned char>(bytes_[kShort])};
    const char* text = nullptr;
    std::uint32_t size = 0;
    std::memcpy(&text, bytes_.data(), sizeof text);
    std::memcpy(&size, bytes_.data() + sizeof text, sizeof size);
    return {text, size};
  }
  friend bool operator==(const Name& a, const Name& b) noexcept {
    std::array<std::uint64_t, 2> left{};
    std::array<std::uint64_t, 2> right{};
    std::memcpy(left.data(), a.bytes_.data(), 16);
    std::memcpy(right.data(), b.bytes_.data(), 16);
    if (left == right) return true;
    return a.bytes_[kShort] == kLong && b.bytes_[kShort] == kLong && a.view() == b.view();
  }

 private:
  static constexpr std::size_t kShort = 15;
  static constexpr char kLong = 127;
  alignas(8) std::array<char, 16> bytes_{};
};

// Of the first and last eight bytes and the length. Never with 0 in its upper byte, which is the tag.
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
  return static_cast<std::uint32_t>(mixed >> 32) | 1u << 24;
}
inline std::uint8_t tag_of(std::uint32_t hash) noexcept { return static_cast<std::uint8_t>(hash >> 24); }

// A name that is looked for.
struct Wanted {
  Wanted() = default;
  explicit Wanted(std::string_view name) noexcept
      : key(name), text(name), tag(tag_of(name_hash(name))), free_members(name.size() < kTextStep ? kFreeMembers : 0) {}
  Name key;
  std::string_view text;
  std::uint8_t tag = 0;
  std::uint8_t free_members = 0;  // finding it among so many is part of the step that looks for it
};

// The inside of values, for this room.
struct Access {
  using Kind = Value::Kind;
  static Kind kind(const Value& value) noexcept { return value.kind_; }
  static std::uint32_t size(const Value& value) noexcept { return value.size_; }
  static const Value* elements(const Value& value) noexcept { return value.content_.elements; }
  static const Member* members(const Value& value) noexcept { return value.content_.members; }
  static const Block* block(const Value& value) noexcept { return value.content_.block; }
  static std::int64_t integer(const Value& value) noexcept { return value.content_.integer; }
  static std::uint64_t natural(const Value& value) noexcept { return value.content_.natural; }
  static double real(const Value& value) noexcept { return value.content_.number; }
  static std::string_view text(const Value& value) noexcept { return {value.content_.text, value.size_}; }

  static Value of_text(Kind kind, std::string_view text) noexcept {
    Value value;
    value.kind_ = kind;
    value.size_ = static_cast<std::uint32_t>(text.size());
    value.content_.text = text.data();
    return value;
  }
  static Value of_block(Kind kind, const Block* block, std::size_t count) noexcept {
    Value value;
    value.kind_ = kind;
    value.size_ = static_cast<std::uint32_t>(count);
    value.content_.block = block;
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

// The parts of a Block.
inline std::size_t padded_tags(std::size_t count) noexcept { return (count + kTagBlock - 1) / kTagBlock * kTagBlock; }
inline const std::uint8_t* tags_of(const Block* block) noexcept { return reinterpret_cast<const std::uint8_t*>(block + 1); }
inline const Name* names_of(const Block* block, std::size_t count) noexcept {
  return reinterpret_cast<const Name*>(tags_of(block) + padded_tags(count));
}
inline const Value* values_of_array(const Block* block) noexcept { return reinterpret_cast<const Value*>(block + 1); }
inline const Value* values_of_object(const Block* block, std::size_t count) noexcept {
  return reinterpret_cast<const Value*>(names_of(block, count) + count);
}

inline bool is_array(const Value& value) noexcept {
  return Access::kind(value) == Access::Kind::kReadArray || Access::kind(value) == Access::Kind::kArray;
}
inline bool is_object(const Value& value) noexcept {
  return Access::kind(value) == Access::Kind::kReadObject || Access::kind(value) == Access::Kind::kObject;
}
inline bool is_null(const Value& value) noexcept {
  return Access::kind(value) == Access::Kind::kNull || Access::kind(value) == Access::Kind::kReadNull;
}
// Of arrays: where their values are, side by side.
inline const Value* elements_of(const Value& array) noexcept {
  return Access::kind(array) == Access::Kind::kReadArray ? values_of_array(Access::block(array)) : Access::elements(array);
}

// The member of that name; nullptr where there is none or `object` is none.
inline const Value* find_member(const Value& object, const Wanted& wanted) noexcept {
  const std::size_t count = Access::size(object);
  if (Access::kind(object) == Access::Kind::kReadObject) {
    const Block* block = Access::block(object);
    const std::uint8_t* tags = tags_of(block);
    const Name* names = names_of(block, count);
    const std::uint64_t same = wanted.tag * 0x0101010101010101u;
    for (std::size_t base = 0; base < count; base += 8) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, tags + base, 8);
      eight ^= same;
      // Marks the bytes that are 0, and perhaps some above the first of those: names decide.
      for (std::uint64_t found = (eight - 0x0101010101010101u) & ~eight & 0x8080808080808080u; found != 0; found &= found - 1) {
        const std::size_t at = base + static_cast<std::size_t>(__builtin_ctzll(found)) / 8;
        if (at < count && names[at] == wanted.key) return values_of_object(block, count) + at;
      }
    }
    return nullptr;
  }
  if (Access::kind(object) != Access::Kind::kObject) return nullptr;
  const Member* members = Access::members(object);
  for (std::size_t i = 0; i < count; ++i)
    if (members[i].name == wanted.text) return &members[i].value;
  return nullptr;
}

// Value::json() behind what `out` holds; false once that is more than `max_bytes`.
bool append_json(const Value& value, std::size_t max_bytes, std::string& out);

}  // namespace setget::inline v0::jmespath::detail
