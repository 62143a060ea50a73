// The keywords of one schema, part by part.
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
      bool fractions = false;
      set.containers.emplace_back(hash_value(tape_, at, fractions), at);
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

Result<void> Compiler::object(Node& node, const Keywords& has) {
  bool any = false;
  for (const auto key : {Key::kProperties, Key::kPatternProperties, Key::kAdditionalProperties, Key::kPropertyNames, Key::kRequired,
                         Key::kMinProperties, Key::kMaxProperties, Key::kDependencies, Key::kDependentRequired, Key::kDependentSchemas}) {
    any = any || value(has, key) != 0;
  }
  if (!any) return {};
  auto& part = program_->objects.emplace_back();
  node.object = &part;
  if (const auto at = value(has, Key::kMinProperties)) {
    auto number = count(at, "minProperties");
    if (!number) return number.error();
    part.min = *number;
  }
  if (const auto at = value(has, Key::kMaxProperties)) {
    auto number = count(at, "maxProperties");
    if (!number) return number.error();
    part.max = *number;
  }
  // In the order of "properties", which is that of most documents: see NameMap::find_after.
  if (const auto at = value(has, Key::kProperties); at != 0 && tag(at) == '{') {
    each_member(tape_, at, [&](std::string_view name, std::size_t) { part.names.add(name); });
    part.entries.resize(part.names.size());
  }
  if (auto done = required(part, has); !done) return done;
  if (const auto at = value(has, Key::kDependencies)) {
    if (auto done = dependents(part, at, "dependencies"); !done) return done;
  }
  if (const auto at = value(has, Key::kDependentRequired)) {
    if (auto done = dependents(part, at, "dependentRequired"); !done) return done;
  }
  if (const auto at = value(has, Key::kDependentSchemas)) {
    if (auto done = dependents(part, at, "dependentSchemas"); !done) return done;
  }
  if (auto done = properties(part, has); !done) return done;
  if (const auto at = value(has, Key::kAdditionalProperties)) {
    part.has_additional = true;
    if (auto done = edge(part.additional, at, "additionalProperties"); !done) return done;
  }
  if (const auto at = value(has, Key::kPropertyNames)) {
    part.has_names = true;
    if (auto done = edge(part.property_names, at, "propertyNames"); !done) return done;
  }
  part.names.build();
  return {};
}

Result<void> Compiler::required(ObjectPart& part, const Keywords& has) {
  const auto at = value(has, Key::kRequired);
  if (at == 0) return {};
  if (tag(at) != '[') return error("required", "an array of names is expected");
  bool strings = true;
  each_element(tape_, at, [&](std::size_t item) {
    strings = strings && tag(item) == '"';
    if (!strings) return;
    const auto number = part.names.add(text_at(tape_, item));
    part.entries.resize(part.names.size());
    auto& entry = part.entries[number];
    if (entry.tracked != 0xFFFFFFFF) return;
    entry.tracked = part.tracked++;
    part.required.push_back(number);
  });
  if (!strings) return error("required", "an array of names is expected");
  return {};
}

Result<void> Compiler::dependents(ObjectPart& part, std::size_t map, const char* keyword) {
  if (tag(map) != '{') return error(keyword, "an object is expected");
  const auto tracked = [&](std::string_view name) {
    const auto number = part.names.add(name);
    part.entries.resize(part.names.size());
    auto& entry = part.entries[number];
    if (entry.tracked == 0xFFFFFFFF) entry.tracked = part.tracked++;
    return std::pair(number, entry.tracked);
  };
  Result<void> result;
  each_member(tape_, map, [&](std::string_view name, std::size_t at) {
    if (!result) return;
    Dependent dependent;
    dependent.keyword = keyword;
    dependent.name = name;
    dependent.trigger = tracked(name).second;
    const bool may_be_names = keyword != std::string_view("dependentSchemas");
    if (tag(at) == '[' && may_be_names) {
      each_element(tape_, at, [&](std::size_t item) {
        if (tag(item) != '"') {
          result = error(keyword, "an array of names is expected");
          return;
        }
        const auto [number, bit] = tracked(text_at(tape_, item));
        dependent.names.push_back(number);
        dependent.required.push_back(bit);
      });
    } else if (keyword == std::string_view("dependentRequired")) {
      result = error(keyword, "an array of names is expected");
    } else {
      dependent.has_schema = true;
      result = edge(dependent.schema, at, keyword);
    }
    part.dependents.push_back(std::move(dependent));
  });
  return result;
}

Result<void> Compiler::properties(ObjectPart& part, const Keywords& has) {
  Result<void> result;
  if (const auto at = value(has, Key::kProperties)) {
    if (tag(at) != '{') return error("properties", "an object is expected");
    each_member(tape_, at, [&](std::string_view name, std::size_t child) {
      if (!result) return;
      const auto number = part.names.add(name);
      part.entries.resize(part.names.size());
      auto& entry = part.entries[number];
      if (entry.declared) {
        result = error("properties", fmt::format("the name \"{}\" is there twice", name));
        return;
      }
      entry.declared = true;
      result = edge(entry.child, child, "properties");
    });
    if (!result) return result;
  }
  const auto at = value(has, Key::kPatternProperties);
  if (at == 0) return {};
  if (tag(at) != '{') return error("patternProperties", "an object is expected");
  each_member(tape_, at, [&](std::string_view source, std::size_t child) {
    if (!result) return;
    auto compiled = regex(source, "patternProperties");
    if (!compiled) {
      result = compiled.error();
      return;
    }
    part.patterns.push_back({.regex = *compiled, .source = std::string(source)});
    result = edge(part.patterns.back().child, child, "patternProperties");
  });
  if (!result) return result;
  // Names that are known need not be matched at run time.
  for (std::uint32_t number = 0; number < part.entries.size(); ++number) {
    for (std::uint32_t which = 0; which < part.patterns.size(); ++which) {
      const auto match = part.patterns[which].regex->search(part.names.name(number));
      if (match == RegexMatch::kOverBudget)
        return registry_.error(*place_, "patternProperties", "matching a name takes more than max_pattern_steps", ErrorCode::kTooLarge);
      if (match == RegexMatch::kYes) part.entries[number].patterns.push_back(which);
    }
  }
  return {};
}

Result<void> Compiler::array(Node& node, const Keywords& has) {
  bool any = false;
  for (const auto key : {Key::kItems, Key::kPrefixItems, Key::kContains, Key::kMinItems, Key::kMaxItems, Key::kUniqueItems}) {
    any = any || value(has, key) != 0;
  }
  if (!any) return {};
  auto& part = program_->arrays.emplace_back();
  node.array = &part;
  const auto draft = place_->resource->dialect.draft;
  const auto count_of_keyword = [&](Key key, const char* keyword, std::uint64_t& to) -> Result<bool> {
    const auto at = value(has, key);
    if (at == 0) return false;
    auto number = count(at, keyword);
    if (!number) return number.error();
    to = *number;
    return true;
  };
  if (auto read = count_of_keyword(Key::kMinItems, "minItems", part.min); !read) return read.error();
  if (auto read = count_of_keyword(Key::kMaxItems, "maxItems", part.max); !read) return read.error();
  if (const auto at = value(has, Key::kUniqueItems)) part.unique = tag(at) == 't';
  const auto prefix = [&](std::size_t at, const char* keyword) -> Result<void> {
    if (tag(at) != '[') return error(keyword, "an array of schemas is expected");
    part.prefix_keyword = keyword;
    Result<void> result;
    each_element(tape_, at, [&](std::size_t item) {
      if (result) result = edge(part.prefix.emplace_back(), item, keyword);
    });
    return result;
  };
  if (const auto at = value(has, Key::kPrefixItems)) {
    if (auto done = prefix(at, "prefixItems"); !done) return done;
  }
  const auto items = value(has, Key::kItems);
  auto rest = items;
  if (items != 0 && draft < Draft::kDraft202012 && tag(items) == '[') {
    if (auto done = prefix(items, "items"); !done) return done;
    rest = value(has, Key::kAdditionalItems);
    part.items_keyword = "additionalItems";
  }
  if (rest != 0) {
    part.has_items = true;
    if (auto done = edge(part.items, rest, part.items_keyword); !done) return done;
  }
  if (const auto at = value(has, Key::kContains)) {
    part.has_contains = true;
    part.contains_evaluates = draft >= Draft::kDraft202012;
    if (auto done = edge(part.contains, at, "contains"); !done) return done;
    auto read = count_of_keyword(Key::kMinContains, "minContains", part.min_contains);
    if (!read) return read.error();
    part.has_min_contains = *read;
    if (read = count_of_keyword(Key::kMaxContains, "maxContains", part.max_contains); !read) return read.error();
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

Result<void> Compiler::branches(Node& node, std::size_t at, OpKind kind, const char* keyword) {
  if (tag(at) != '[') return error(keyword, "an array of schemas is expected");
  Op op{.kind = kind, .keyword = keyword};
  Result<void> result;
  each_element(tape_, at, [&](std::size_t item) {
    if (result) result = edge(op.branches.emplace_back(), item, keyword);
  });
  node.ops.push_back(std::move(op));
  return result;
}

Result<void> Compiler::combinations(Node& node, const Keywords& has) {
  for (const auto& [key, kind, keyword] :
       {std::tuple(Key::kAllOf, OpKind::kAllOf, "allOf"), std::tuple(Key::kAnyOf, OpKind::kAnyOf, "anyOf"),
        std::tuple(Key::kOneOf, OpKind::kOneOf, "oneOf")}) {
    if (const auto at = value(has, key)) {
      if (auto done = branches(node, at, kind, keyword); !done) return done;
    }
  }
  if (const auto at = value(has, Key::kNot)) {
    Op op{.kind = OpKind::kNot, .keyword = "not"};
    if (auto done = edge(op.edge, at, "not"); !done) return done;
    node.ops.push_back(std::move(op));
  }
  const auto condition = value(has, Key::kIf);
  if (condition == 0) return {};
  Op op{.kind = OpKind::kIf, .keyword = "if"};
  if (auto done = edge(op.edge, condition, "if"); !done) return done;
  if (const auto at = value(has, Key::kThen)) {
    op.has_then = true;
    if (auto done = edge(op.then_edge, at, "then"); !done) return done;
  }
  if (const auto at = value(has, Key::kElse)) {
    op.has_else = true;
    if (auto done = edge(op.else_edge, at, "else"); !done) return done;
  }
  node.ops.push_back(std::move(op));
  return {};
}

Result<void> Compiler::unevaluated(Node& node, const Keywords& has) {
  if (const auto at = value(has, Key::kUnevaluatedProperties)) {
    node.has_unevaluated_properties = true;
    if (auto done = edge(node.unevaluated_properties, at, "unevaluatedProperties"); !done) return done;
  }
  if (const auto at = value(has, Key::kUnevaluatedItems)) {
    node.has_unevaluated_items = true;
    return edge(node.unevaluated_items, at, "unevaluatedItems");
  }
  return {};
}

}  // namespace setget::inline v0::detail::schema
