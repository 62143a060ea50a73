#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "mapping/arena.hpp"
#include "mapping/json_string.hpp"
#include "mapping/node.hpp"
#include "mapping/number.hpp"

namespace setget::inline v0::jmespath {

using namespace detail;  // NOLINT(google-build-using-namespace): this room\'s own names

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
  static constexpr std::array kTypes = {Type::kNull,   Type::kBoolean, Type::kBoolean, Type::kNumber, Type::kNumber,  Type::kNumber,
                                        Type::kString, Type::kArray,   Type::kObject,  Type::kNull,   Type::kBoolean, Type::kBoolean,
                                        Type::kNumber, Type::kString,  Type::kString,  Type::kArray,  Type::kObject};
  return kTypes[static_cast<std::size_t>(kind_)];
}

bool Value::truthy() const noexcept {
  switch (type()) {
    case Type::kNull:
      return false;
    case Type::kBoolean:
      return kind_ == Kind::kTrue || kind_ == Kind::kReadTrue;
    case Type::kNumber:
      return true;
    default:
      return size_ != 0;
  }
}

std::optional<bool> Value::boolean() const noexcept {
  if (type() != Type::kBoolean) return std::nullopt;
  return kind_ == Kind::kTrue || kind_ == Kind::kReadTrue;
}

std::optional<std::string_view> Value::string() const noexcept {
  if (type() != Type::kString) return std::nullopt;
  return std::string_view(content_.text, size_);
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
  const auto what = type();
  return what == Type::kArray || what == Type::kObject ? size_ : 0;
}

Value Value::at(std::size_t index) const noexcept {
  switch (kind_) {
    case Kind::kReadArray:
      return values_of_array(content_.block)[index];
    case Kind::kReadObject:
      return values_of_object(content_.block, size_)[index];
    case Kind::kArray:
      return content_.elements[index];
    default:
      return content_.members[index].value;
  }
}

std::string_view Value::name(std::size_t index) const noexcept {
  return kind_ == Kind::kReadObject ? names_of(content_.block, size_)[index].view() : content_.members[index].name;
}

std::optional<Value> Value::find(std::string_view name) const noexcept {
  const Value* found = find_member(*this, Wanted(name));
  return found != nullptr ? std::optional(*found) : std::nullopt;
}

std::optional<std::string_view> Value::source() const noexcept {
  switch (kind_) {
    case Kind::kReadNull:
    case Kind::kReadFalse:
    case Kind::kReadTrue:
    case Kind::kReadNumber:
      return std::string_view(content_.text, size_);
    case Kind::kReadString:
      return std::string_view(content_.text - 1, size_ + 2u);
    case Kind::kReadEscaped: {
      const char* start = nullptr;
      std::memcpy(&start, content_.text - sizeof start, sizeof start);
      const char* end = start + 1;
      while (*end != '"') end += *end == '\\' ? 2 : 1;
      return std::string_view(start, static_cast<std::size_t>(end + 1 - start));
    }
    case Kind::kReadArray:
    case Kind::kReadObject:
      return std::string_view(content_.block->text, content_.block->bytes);
    default:
      return std::nullopt;
  }
}

Result<std::string> Value::json(std::size_t max_bytes) const {
  std::string out;
  if (!append_json(*this, max_bytes, out))
    return Error(ErrorCode::kTooLarge, fmt::format("the value is more than {} bytes of JSON", max_bytes));
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
