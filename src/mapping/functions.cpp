// The functions of JMESPath: which is which, and those of texts, lists and objects.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

#include "mapping/interpreter.hpp"
#include "mapping/json_string.hpp"
#include "mapping/lexer.hpp"
#include "mapping/parser.hpp"

namespace setget::inline v0::jmespath::detail {

Value Interpreter::fail(const Part& part, std::string_view code, std::string message) {
  if (!failure_) failure_.emplace(mistake(code, part.position, std::move(message)));
  return {};
}

Value Interpreter::wrong_type(const Part& part, std::size_t argument, std::string_view wanted, Value given) {
  // Common in mappings, hence without fmt.
  const auto function = name_of(part.function);
  std::string message;
  message.reserve(96);
  message.append("argument ").append(std::to_string(argument + 1)).append(" of ").append(function).append("() must be ");
  message.append(wanted).append(", not ").append(to_string(given.type()));
  return fail(part, "invalid-type", std::move(message));
}

Value Interpreter::apply(const Part& part, Arguments arguments) {
  const Value& first = arguments[0];
  switch (part.function) {
    case Function::kAbs:
      return absolute(part, first);
    case Function::kAvg:
    case Function::kSum:
      return aggregate(part, first);
    case Function::kCeil:
    case Function::kFloor:
      return round(part, first);
    case Function::kContains:
      return contains(part, arguments);
    case Function::kEndsWith:
    case Function::kStartsWith:
      return ends(part, arguments);
    case Function::kJoin:
      return join(part, arguments);
    case Function::kKeys:
      return keys(part, first);
    case Function::kValues:
      return values(part, first);
    case Function::kLength:
      return length(part, first);
    case Function::kMap:
      return map(part, arguments[1]);
    case Function::kMax:
    case Function::kMin:
      return extreme(part, first, part.function == Function::kMax, false);
    case Function::kMaxBy:
    case Function::kMinBy:
      return extreme(part, first, part.function == Function::kMaxBy, true);
    case Function::kMerge:
      return merge(part, arguments);
    case Function::kNotNull: {
      const auto found = std::find_if(arguments.begin(), arguments.end(), [](const Value& one) { return !one.is_null(); });
      return found == arguments.end() ? Value() : *found;
    }
    case Function::kReverse:
      return reverse(part, first);
    case Function::kSort:
      return sort(part, first, false);
    case Function::kSortBy:
      return sort(part, first, true);
    case Function::kToArray: {
      if (is_array(first)) return first;
      auto* one = make<Value>(1);
      *one = first;
      return Access::of_elements(one, 1);
    }
    case Function::kToNumber:
      return to_number(first);
    case Function::kToString:
      return to_text(first);
    case Function::kType:
      return Value::of(to_string(first.type()));
  }
  return {};
}

Value Interpreter::ends(const Part& part, Arguments arguments) {
  const auto text = arguments[0].string();
  if (!text) return wrong_type(part, 0, "a string", arguments[0]);
  const auto end = arguments[1].string();
  if (!end) return wrong_type(part, 1, "a string", arguments[1]);
  if (end->size() > text->size()) return Value::of(false);
  meter_.spend_text(end->size());
  return Value::of(part.function == Function::kStartsWith ? text->starts_with(*end) : text->ends_with(*end));
}

Value Interpreter::contains(const Part& part, Arguments arguments) {
  const Value& where = arguments[0];
  if (const auto text = where.string()) {
    const auto what = arguments[1].string();
    meter_.spend(text->size() / kTextStep);
    // memmem and not find(): linear also where the text repeats what the word begins with.
    return Value::of(what && (what->empty() || memmem(text->data(), text->size(), what->data(), what->size()) != nullptr));
  }
  if (!is_array(where)) return wrong_type(part, 0, "an array or a string", where);
  const Value* elements = elements_of(where);
  const std::size_t count = Access::size(where);
  const auto wanted = arguments[1].string();
  meter_.spend(wanted ? count : 0);
  for (std::size_t i = 0; i < count; ++i) {
    if (!wanted) {
      if (equal(elements[i], arguments[1], &meter_)) return Value::of(true);
      continue;
    }
    // A word in a list of words is what mappings ask.
    if (Access::size(elements[i]) != wanted->size()) continue;
    const auto word = elements[i].string();
    if (word) meter_.spend_text(word->size());
    if (word == wanted) return Value::of(true);
  }
  return Value::of(false);
}

Value Interpreter::join(const Part& part, Arguments arguments) {
  if (!arguments[0].string()) return wrong_type(part, 0, "a string", arguments[0]);
  const auto glue = *arguments[0].string();
  Value list = arguments[1];
  if (!is_array(list)) return wrong_type(part, 1, "an array of strings", list);
  const std::size_t count = list.size();
  meter_.spend(count);
  std::size_t size = count > 1 ? glue.size() * (count - 1) : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto text = list.at(i).string();
    if (!text)
      return fail(part, "invalid-type",
                  fmt::format("argument 2 of join() must be an array of strings; element {} is {}", i, to_string(list.at(i).type())));
    size += text->size();
  }
  meter_.spend(size / kTextStep);
  auto* out = make<char>(size);
  char* at = out;
  const auto append = [&](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) append(glue);
    append(*list.at(i).string());
  }
  return Value::of(std::string_view(out, size));
}

Value Interpreter::keys(const Part& part, Value argument) {
  if (argument.type() != Type::kObject) return wrong_type(part, 0, "an object", argument);
  const std::size_t count = argument.size();
  meter_.spend(count);
  auto* names = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) names[i] = Value::of(argument.name(i));
  return Access::of_elements(names, count);
}

Value Interpreter::values(const Part& part, Value argument) {
  if (argument.type() != Type::kObject) return wrong_type(part, 0, "an object", argument);
  const std::size_t count = argument.size();
  meter_.spend(count);
  auto* values = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = argument.at(i);
  return Access::of_elements(values, count);
}

Value Interpreter::length(const Part& part, Value argument) {
  if (const auto text = argument.string()) {
    meter_.spend(text->size() / kTextStep);
    return Value::of(static_cast<std::int64_t>(count_characters(*text)));
  }
  if (argument.type() != Type::kArray && argument.type() != Type::kObject)
    return wrong_type(part, 0, "a string, an array or an object", argument);
  return Value::of(static_cast<std::int64_t>(argument.size()));
}

Value Interpreter::map(const Part& part, Value list) {
  if (!is_array(list)) return wrong_type(part, 1, "an array", list);
  const std::size_t count = list.size();
  auto* out = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = evaluate(reference_of(part, 0), list.at(i));
    if (failed()) return {};
  }
  return Access::of_elements(out, count);
}

// Of a name that several objects have the last value counts, in the place of the first.
Value Interpreter::merge(const Part& part, Arguments arguments) {
  std::size_t all = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].type() != Type::kObject) return wrong_type(part, i, "an object", arguments[i]);
    all += arguments[i].size();
  }
  if (arguments.size() == 1) return arguments[0];
  meter_.spend(all * static_cast<std::uint64_t>(std::bit_width(all)));
  auto* members = make<Member>(all);
  auto* order = make<std::uint32_t>(all);
  std::size_t at = 0;
  for (const Value& object : arguments)
    for (std::size_t i = 0, count = object.size(); i < count; ++i, ++at) members[at] = {object.name(i), object.at(i)};
  std::size_t text = 0;
  for (std::size_t i = 0; i < all; ++i) text += members[i].name.size();
  meter_.spend(text / kTextStep * static_cast<std::uint64_t>(std::bit_width(all)));
  std::iota(order, order + all, 0u);
  std::sort(order, order + all, [&](std::uint32_t a, std::uint32_t b) {
    const int names = members[a].name.compare(members[b].name);
    return names != 0 ? names < 0 : a < b;
  });
  auto* last = make<std::uint32_t>(all);  // of the name that is first here: where its last value is; else nowhere
  constexpr auto kNowhere = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t i = 0; i < all;) {
    std::size_t end = i + 1;
    while (end < all && members[order[end]].name == members[order[i]].name) last[order[end++]] = kNowhere;
    last[order[i]] = order[end - 1];
    i = end;
  }
  auto* kept = make<Member>(all);
  std::size_t count = 0;
  for (std::size_t i = 0; i < all; ++i)
    if (last[i] != kNowhere) kept[count++] = {members[i].name, members[last[i]].value};
  return Access::of_members(kept, count);
}

Value Interpreter::reverse(const Part& part, Value argument) {
  if (const auto text = argument.string()) {
    meter_.spend(text->size() / kTextStep);
    auto* out = make<char>(text->size());
    char* end = out + text->size();
    for (std::size_t at = 0; at < text->size();) {
      const auto character = text->substr(at, character_size((*text)[at]));
      end -= character.size();
      std::copy(character.begin(), character.end(), end);
      at += character.size();
    }
    return Value::of(std::string_view(out, text->size()));
  }
  if (!is_array(argument)) return wrong_type(part, 0, "an array or a string", argument);
  const std::size_t count = argument.size();
  meter_.spend(count);
  auto* out = make<Value>(count);
  for (std::size_t i = 0; i < count; ++i) out[i] = argument.at(count - 1 - i);
  return Access::of_elements(out, count);
}

Value Interpreter::to_number(Value argument) {
  if (argument.type() == Type::kNumber) return argument;
  const auto text = argument.string();
  if (!text) return {};
  meter_.spend_text(text->size());
  if (!is_number(*text)) return {};
  // As a number of the document would be: its digits stay.
  return Access::of_text(Access::Kind::kReadNumber, *text);
}

Value Interpreter::to_text(Value argument) {
  if (argument.type() == Type::kString) return argument;
  // A value that an expression repeats is small to hold and long to write.
  std::string text;
  if (!append_json(argument, meter_.bytes_left(), text)) meter_.make(meter_.bytes_left() + 1);
  meter_.spend(text.size() / kTextStep);
  auto* out = make<char>(text.size());
  std::copy(text.begin(), text.end(), out);
  return Value::of(std::string_view(out, text.size()));
}

}  // namespace setget::inline v0::jmespath::detail
