// Keywords about objects and arrays.
#include <fmt/format.h>

#include "validator/schema_compiler.hpp"

namespace setget::inline v0::detail::schema {

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
    std::uint32_t next = 0;  // they have been added in this order
    each_member(tape_, at, [&](std::string_view name, std::size_t child) {
      if (!result) return;
      const auto number = next < part.names.size() && part.names.name(next) == name ? next : part.names.add(name);
      next = number + 1;
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
      const auto match = part.patterns[which].regex->search(part.names.name(number), steps_left_);
      if (match == RegexMatch::kOverBudget)
        return registry_.error(*place_, "patternProperties", "matching a name takes more than max_pattern_steps", ErrorCode::kTooLarge);
      if (match == RegexMatch::kOutOfSteps)
        return registry_.error(*place_, "patternProperties", "matching the names takes more than max_steps", ErrorCode::kTooLarge);
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

}  // namespace setget::inline v0::detail::schema
