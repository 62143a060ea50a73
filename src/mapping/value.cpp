#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "mapping/arena.hpp"
#include "mapping/json_string.hpp"
#include "mapping/node.hpp"
#include "mapping/number.hpp"

namespace setget::inline v0::jmespath {

using namespace detail;

std::string_view to_string(Type type) noexcept {
  switch (type) {
    case Type::kNull:
      return "null";
    case Type::kBoolean:
      return "boolean";
    case Type::kNumber:
      return "number";
    case Type::kString:
      return "string";
    case Type::kArray:
      return "array";
    case Type::kObject:
      break;
  }
  return "object";
}

Value Value::of(bool truth) noexcept {
  Value value;
  value.kind_ = truth ? Kind::kTrue : Kind::kFalse;
  return value;
}

Value Value::of(std::int64_t integer) noexcept {
  Value value;
  value.kind_ = Kind::kInteger;
  value.content_.integer = integer;
  return value;
}

Value Value::of(double number) noexcept {
  Value value;
  if (!std::isfinite(number)) return value;
  value.kind_ = Kind::kDouble;
  value.content_.number = number;
  return value;
}

Value Value::of(std::string_view text) noexcept {
  Value value;
  if (text.size() > std::numeric_limits<std::uint32_t>::max()) return value;
  value.kind_ = Kind::kString;
  value.size_ = static_cast<std::uint32_t>(text.size());
  value.content_.text = text.data();
  return value;
}

Type Value::type() const noexcept {
  switch (kind_) {
    case Kind::kNull:
      return Type::kNull;
    case Kind::kFalse:
    case Kind::kTrue:
      return Type::kBoolean;
    case Kind::kInteger:
    case Kind::kUnsigned:
    case Kind::kDouble:
      return Type::kNumber;
    case Kind::kString:
      return Type::kString;
    case Kind::kArray:
      return Type::kArray;
    case Kind::kObject:
      return Type::kObject;
    case Kind::kNode:
      break;
  }
  switch (content_.node->type) {
    case NodeType::kNull:
      return Type::kNull;
    case NodeType::kFalse:
    case NodeType::kTrue:
      return Type::kBoolean;
    case NodeType::kNumber:
      return Type::kNumber;
    case NodeType::kString:
      return Type::kString;
    case NodeType::kArray:
      return Type::kArray;
    case NodeType::kObject:
      break;
  }
  return Type::kObject;
}

bool Value::truthy() const noexcept {
  switch (type()) {
    case Type::kNull:
      return false;
    case Type::kBoolean:
      return *boolean();
    case Type::kNumber:
      return true;
    case Type::kString:
      return !string()->empty();
    case Type::kArray:
    case Type::kObject:
      break;
  }
  return size() != 0;
}

std::optional<bool> Value::boolean() const noexcept {
  if (kind_ == Kind::kTrue || kind_ == Kind::kFalse) return kind_ == Kind::kTrue;
  if (kind_ != Kind::kNode) return std::nullopt;
  if (content_.node->type == NodeType::kTrue) return true;
  if (content_.node->type == NodeType::kFalse) return false;
  return std::nullopt;
}

std::optional<std::string_view> Value::string() const noexcept {
  if (kind_ == Kind::kString) return std::string_view(content_.text, size_);
  if (kind_ == Kind::kNode && content_.node->type == NodeType::kString) return content_.node->view();
  return std::nullopt;
}

std::optional<std::int64_t> Value::integer() const noexcept {
  const auto number = number_of(*this);
  if (!number || number->kind == Number::Kind::kUnsigned) return std::nullopt;
  if (number->kind == Number::Kind::kInteger) return number->integer;
  constexpr double kEnd = 9223372036854775808.0;  // 2^63
  if (number->real < -kEnd || number->real >= kEnd || number->real != std::floor(number->real)) return std::nullopt;
  return static_cast<std::int64_t>(number->real);
}

std::optional<double> Value::number() const noexcept {
  const auto number = number_of(*this);
  return number ? std::optional(to_double(*number)) : std::nullopt;
}

std::size_t Value::size() const noexcept {
  if (kind_ == Kind::kArray || kind_ == Kind::kObject) return size_;
  if (kind_ != Kind::kNode) return 0;
  const auto type = content_.node->type;
  return type == NodeType::kArray || type == NodeType::kObject ? content_.node->block->count : 0;
}

Value Value::at(std::size_t index) const noexcept {
  if (kind_ == Kind::kNode) return Access::of_node(content_.node->block->values + index);
  return kind_ == Kind::kArray ? content_.elements[index] : content_.members[index].value;
}

std::string_view Value::name(std::size_t index) const noexcept {
  return kind_ == Kind::kNode ? content_.node->block->names[index] : content_.members[index].name;
}

std::optional<Value> Value::find(std::string_view name) const noexcept {
  if (kind_ == Kind::kNode && content_.node->type == NodeType::kObject) {
    const Block& block = *content_.node->block;
    const auto at = find_name(block, name, name_hash(name));
    return at < block.count ? std::optional(Access::of_node(block.values + at)) : std::nullopt;
  }
  if (kind_ != Kind::kObject) return std::nullopt;
  for (std::size_t i = 0; i < size_; ++i)
    if (content_.members[i].name == name) return content_.members[i].value;
  return std::nullopt;
}

std::optional<std::string_view> Value::source() const noexcept {
  if (kind_ != Kind::kNode) return std::nullopt;
  const Node& node = *content_.node;
  if (node.type != NodeType::kString) return node.view();
  if (!node.escaped) return std::string_view(node.start, node.size + 2u);
  const char* end = node.start + 1;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  return std::string_view(node.start, static_cast<std::size_t>(end + 1 - node.start));
}

Result<std::string> Value::json(std::size_t max_bytes) const {
  std::string out;
  if (!append_json(*this, max_bytes, out)) return Error(ErrorCode::kTooLarge, fmt::format("the value is more than {} bytes of JSON", max_bytes));
  return out;
}

namespace detail {

bool append_json(const Value& value, std::size_t max_bytes, std::string& out) {
  switch (value.type()) {
    case Type::kNull:
      out += "null";
      break;
    case Type::kBoolean:
      out += *value.boolean() ? "true" : "false";
      break;
    case Type::kNumber:
      // As it was read; what was computed in the shortest form.
      if (const auto source = value.source())
        out += *source;
      else
        append_number(*number_of(value), out);
      break;
    case Type::kString:
      if (value.string()->size() > max_bytes) return false;
      append_string(*value.string(), out);
      break;
    case Type::kArray:
    case Type::kObject: {
      const bool object = value.type() == Type::kObject;
      out += object ? '{' : '[';
      for (std::size_t i = 0, count = value.size(); i < count; ++i) {
        if (i != 0) out += ',';
        if (object) {
          append_string(value.name(i), out);
          out += ':';
        }
        if (!append_json(value.at(i), max_bytes, out)) return false;
      }
      out += object ? '}' : ']';
      break;
    }
  }
  return out.size() <= max_bytes;
}

}  // namespace detail

}  // namespace setget::inline v0::jmespath
