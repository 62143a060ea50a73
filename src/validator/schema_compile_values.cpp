// Keywords about values without parts: types, constants, strings, numbers.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "validator/schema_compiler.hpp"
#include "validator/schema_eval.hpp"

namespace setget::inline v0::detail::schema {

Result<std::uint64_t> Compiler::count(std::size_t at, std::string_view keyword) {
  if ((type_at(tape_, at) & kNumber) != 0) {
    const auto number = number_at(tape_, at);
    if (number.kind == 'l' && number.integer >= 0) return static_cast<std::uint64_t>(number.integer);
    if (number.kind == 'u') return number.large;
    if (is_whole(number) && compare(number, Number{}) >= 0) {
      // 2.0 is 2; what is beyond any count is as good as the largest.
      if (number.kind == 'd' && number.real < 9e15) return static_cast<std::uint64_t>(number.real);
      return UINT64_MAX - 1;
    }
  }
  return error(keyword, fmt::format("a count is a whole number, not {}", shown_value(tape_, at)));
}

Result<void> Compiler::types(Node& node, std::size_t at) {
  const auto one = [&](std::size_t place) -> std::uint8_t {
    if (tag(place) != '"') return 0;
    const auto name = text_at(tape_, place);
    if (name == "null") return kNull;
    if (name == "boolean") return kBoolean;
    if (name == "integer") return kInteger;
    if (name == "number") return kNumber;
    if (name == "string") return kString;
    if (name == "array") return kArray;
    return name == "object" ? kObject : 0;
  };
  node.types = 0;
  node.has_type = true;
  bool known = true;
  const auto add = [&](std::size_t place) {
    const auto type = one(place);
    known = known && type != 0;
    node.types |= type;
  };
  if (tag(at) == '[') {
    each_element(tape_, at, add);
  } else {
    add(at);
  }
  if (!known) return error("type", fmt::format("{} is no type", shown_value(tape_, at)));
  // Draft 4 calls an integer what is written without a fraction and an exponent.
  node.whole_only_by_text = place_->resource->dialect.draft == Draft::kDraft4;
  return {};
}

namespace {

void add_number(ValueSet& set, const Number& number) {
  if (number.kind == 'l') {
    set.integers.push_back(number.integer);
  } else if (number.kind == 'd' && is_whole(number) && std::abs(number.real) < kWholeDoubles) {
    set.integers.push_back(static_cast<std::int64_t>(number.real));
  } else {
    set.numbers.push_back(number);
  }
}

}  // namespace

Result<void> Compiler::values(Node& node, const Keywords& has) {
  if (const auto at = value(has, Key::kType)) {
    if (auto done = types(node, at); !done) return done;
  }
  const auto add = [&](ValueSet& set, std::size_t at) {
    set.all.push_back(at);
    const auto type = type_at(tape_, at);
    set.types |= type;
    if (type == kString) {
      set.strings.add(text_at(tape_, at));
    } else if (type == kBoolean) {
      (tag(at) == 't' ? set.has_true : set.has_false) = true;
    } else if ((type & kNumber) != 0) {
      add_number(set, number_at(tape_, at));
    } else if (type == kArray || type == kObject) {
      Hashed hashed;
      set.containers.emplace_back(hash_value(tape_, at, hashed), at);
    }
  };
  const auto finish_set = [&](ValueSet& set) {
    set.tape = tape_;
    set.strings.build();
    std::ranges::sort(set.integers);
    std::ranges::sort(set.containers);
    node.values.push_back(&set);
  };
  if (const auto at = value(has, Key::kConst)) {
    auto& set = program_->values.emplace_back();
    set.is_const = true;
    add(set, at);
    finish_set(set);
  }
  if (const auto at = value(has, Key::kEnum)) {
    if (tag(at) != '[') return error("enum", "an array is expected");
    auto& set = program_->values.emplace_back();
    each_element(tape_, at, [&](std::size_t item) { add(set, item); });
    finish_set(set);
  }
  return {};
}

Result<void> Compiler::string(Node& node, const Keywords& has) {
  StringPart part;
  bool any = false;
  for (const auto& [key, keyword, to] :
       {std::tuple(Key::kMinLength, "minLength", &part.min), std::tuple(Key::kMaxLength, "maxLength", &part.max)}) {
    if (const auto at = value(has, key)) {
      auto number = count(at, keyword);
      if (!number) return number.error();
      *to = *number;
      any = true;
    }
  }
  if (const auto at = value(has, Key::kPattern)) {
    if (tag(at) != '"') return error("pattern", "a string is expected");
    part.pattern_source = text_at(tape_, at);
    auto compiled = regex(part.pattern_source, "pattern");
    if (!compiled) return compiled.error();
    part.pattern = *compiled;
    any = true;
  }
  const auto& dialect = place_->resource->dialect;
  if (const auto at = value(has, Key::kFormat); at != 0 && tag(at) == '"' && (options_.assert_formats || dialect.asserts_formats)) {
    part.format_name = text_at(tape_, at);
    part.format = find_format(part.format_name, dialect.draft);
    part.format_weight = format_weight(part.format);
    any = any || part.format;
  }
  if (options_.assert_content && dialect.draft == Draft::kDraft7) {
    if (const auto at = value(has, Key::kContentEncoding); at != 0 && tag(at) == '"') part.content_encoding = text_at(tape_, at);
    if (const auto at = value(has, Key::kContentMediaType); at != 0 && tag(at) == '"') part.content_media_type = text_at(tape_, at);
    any = any || !part.content_encoding.empty() || !part.content_media_type.empty();
  }
  part.length_only = !part.pattern && !part.format && part.content_encoding.empty() && part.content_media_type.empty();
  if (any) node.string = &program_->strings.emplace_back(std::move(part));
  return {};
}

Result<void> Compiler::bound(Bound& bound, std::size_t at, const char* keyword) {
  if ((type_at(tape_, at) & kNumber) == 0) return error(keyword, "a number is expected");
  bound.is_set = true;
  bound.keyword = keyword;
  bound.number = number_at(tape_, at);
  bound.shown = shown_value(tape_, at);
  return {};
}

namespace {

// Where all bounds are integers.
void set_range(NumberPart& part) {
  if (part.multiple_of.is_set) return;
  for (const auto& [bound, sign] : {std::pair(&part.minimum, 1), std::pair(&part.exclusive_minimum, 1), std::pair(&part.maximum, -1),
                                    std::pair(&part.exclusive_maximum, -1)}) {
    if (!bound->is_set) continue;
    const auto value = bound->number.integer;
    if (bound->number.kind != 'l' || value == INT64_MIN || value == INT64_MAX) return;
    const auto limit = bound->exclusive ? value + sign : value;
    if (sign > 0) {
      part.least = std::max(part.least, limit);
    } else {
      part.most = std::min(part.most, limit);
    }
  }
  part.is_range = true;
}

}  // namespace

Result<void> Compiler::number(Node& node, const Keywords& has) {
  NumberPart part;
  const bool old = place_->resource->dialect.draft == Draft::kDraft4;
  bool any = false;
  const auto read = [&](Key key, Bound& to, const char* keyword) -> Result<void> {
    const auto at = value(has, key);
    if (at == 0) return {};
    any = true;
    return bound(to, at, keyword);
  };
  if (auto done = read(Key::kMinimum, part.minimum, "minimum"); !done) return done;
  if (auto done = read(Key::kMaximum, part.maximum, "maximum"); !done) return done;
  if (auto done = read(Key::kMultipleOf, part.multiple_of, "multipleOf"); !done) return done;
  if (part.multiple_of.is_set && compare(part.multiple_of.number, Number{}) <= 0) return error("multipleOf", "must be above 0");
  if (old) {
    const auto exclusive = [&](Key key) { return value(has, key) != 0 && tag(value(has, key)) == 't'; };
    part.minimum.exclusive = exclusive(Key::kExclusiveMinimum);
    part.maximum.exclusive = exclusive(Key::kExclusiveMaximum);
  } else {
    part.exclusive_minimum.exclusive = true;
    part.exclusive_maximum.exclusive = true;
    if (auto done = read(Key::kExclusiveMinimum, part.exclusive_minimum, "exclusiveMinimum"); !done) return done;
    if (auto done = read(Key::kExclusiveMaximum, part.exclusive_maximum, "exclusiveMaximum"); !done) return done;
  }
  if (any) node.number = &program_->numbers.emplace_back(std::move(part));
  if (any) set_range(*node.number);
  return {};
}

}  // namespace setget::inline v0::detail::schema
