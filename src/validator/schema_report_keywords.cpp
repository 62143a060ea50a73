// What each keyword has to say of a value that breaks it.
#include <optional>

#include "core/cut_text.hpp"
#include "validator/schema_reporter.hpp"

namespace setget::inline v0::detail::schema {

template <Sink kSink>
void Reporter<kSink>::values(const Node& node, const ValueSet& set, std::size_t at, Where where) {
  if (eval_.halted()) return;
  if (set.is_const) {
    add(node, where, "const", Shown{at}, " is not ", set);
  } else {
    add(node, where, "enum", Shown{at}, " is none of ", set);
  }
}

template <Sink kSink>
void Reporter<kSink>::string(const Node& node, std::size_t at, Where where) {
  const auto& part = *node.string;
  const auto text = text_at(tape_, at);
  if (!eval_.length_holds(part, text) && !eval_.halted()) {
    const auto length = code_points(text);
    if (length < part.min) {
      add(node, where, "minLength", Shown{at}, " has ", length, " characters, at least ", part.min, " are needed");
    } else {
      add(node, where, "maxLength", Shown{at}, " has ", length, " characters, at most ", part.max, " are allowed");
    }
  }
  if (part.format && !eval_.format_holds(part, text) && !eval_.halted())
    add(node, where, "format", Shown{at}, " is no ", Lasting{part.format_name});
  if (part.pattern && !eval_.pattern(*part.pattern, text) && !eval_.halted())
    add(node, where, "pattern", Shown{at}, " does not match \"", Lasting{cut_text(part.pattern_source, 200)}, "\"");
  if (part.has_content && !eval_.content_holds(part, text) && !eval_.halted()) {
    const bool encoding = part.content_encoding == "base64" && !is_base64(text, nullptr);
    add(node, where, encoding ? "contentEncoding" : "contentMediaType", Shown{at}, " is no ",
        Lasting{encoding ? part.content_encoding : part.content_media_type});
  }
}

template <Sink kSink>
void Reporter<kSink>::number(const Node& node, std::size_t at, Where where) {
  const auto& part = *node.number;
  const auto number = number_at(tape_, at);
  if (number.kind == 'd' && !eval_.is_exact()) return;
  if (number.kind == 'N' && !eval_.spend(number.text.size() / 4)) return;
  const auto check = [&](const Bound& bound, int sign, std::string_view what) {
    if (bound.is_set && !eval_.bound_holds(bound, number, sign))
      add(node, where, bound.keyword, Shown{at}, " is ", Lasting{what}, " ", Lasting{bound.shown});
  };
  if (part.has_minimum) {
    check(part.minimum, 1, part.minimum.exclusive ? "not above" : "below");
    check(part.exclusive_minimum, 1, "not above");
  }
  if (part.has_maximum) {
    check(part.maximum, -1, part.maximum.exclusive ? "not below" : "above");
    check(part.exclusive_maximum, -1, "not below");
  }
  if (part.has_multiple && !eval_.multiple_holds(part.multiple_of, number) && !eval_.halted())
    add(node, where, "multipleOf", Shown{at}, " is no multiple of ", Lasting{part.multiple_of.shown});
}

template <Sink kSink>
void Reporter<kSink>::object(const Node& node, std::size_t at, Where where, const Marks* marks) {
  const auto& part = *node.object;
  const auto count = count_of(tape_, at);
  if (part.counted) {
    if (count < part.min) add(node, where, "minProperties", count, " names, at least ", part.min, " are needed");
    if (count > part.max) add(node, where, "maxProperties", count, " names, at most ", part.max, " are allowed");
  }
  if (part.plain) return;
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  if (!eval_.spend((end - at) / 2)) return;
  if constexpr (kCounts) {
    if (part.lean && !marks) return count_members(node, at, end);
  }
  // Which tracked names there are: bits, in a word here where they are few.
  std::uint64_t few = 0;
  const bool many = part.tracked > 64;
  const auto seen = many ? eval_.bits().take((part.tracked + 63) / 64) : 0;
  const auto is_seen = [&](std::size_t bit) { return many ? eval_.bits().test(seen, bit) : ((few >> bit) & 1) != 0; };
  std::size_t ordinal = 0;
  std::uint32_t guess = 0;
  for (auto key = at + 1; key < end && !over(); key = next_of(tape_.words, key + 1), ++ordinal) {
    const auto name = text_at(tape_, key);
    const auto number = part.find_after(name, guess);
    guess = number + 1;
    if (number != NameMap::kNone) {
      const auto& tracked = part.slots[number].to;
      (many ? eval_.bits().at(seen)[tracked.word] : few) |= tracked.bit;
    }
    if (member(node, number, key, name, where) && marks) eval_.bits().set(marks->offset, ordinal);
  }
  for (std::size_t i = 0; i < part.required.size() && !over(); ++i) {
    if (!is_seen(i))
      add(node, where, "required", "the name \"", Lasting{cut_text(part.names.name(part.required[i]), 100)}, "\" is missing");
  }
  if (part.simple) return many ? eval_.bits().release(seen) : void();
  for (const auto& dependent : part.dependents) {
    if (over() || !is_seen(dependent.trigger)) continue;
    for (std::size_t i = 0; i < dependent.required.size(); ++i) {
      if (!is_seen(dependent.required[i]))
        add(node, where, dependent.keyword, "the name \"", Lasting{cut_text(part.names.name(dependent.names[i]), 100)},
            "\" is missing, which \"", Lasting{cut_text(dependent.name, 100)}, "\" needs");
    }
    if (!dependent.has_schema) continue;
    const auto name = Step::of_keyword(where.keyword, dependent.keyword, dependent.name);
    visit(dependent.schema, at, {where.instance, &name, where.parent}, marks);
  }
  if (many) eval_.bits().release(seen);
}

template <Sink kSink>
inline void Reporter<kSink>::count_members(const Node& node, std::size_t at, std::size_t end) {
  const auto& part = *node.object;
  const auto* const first = part.slots.data();
  const auto* const other = first + (part.slots.size() - 1);
  std::uint64_t seen = 0;
  const auto* slot = first;
  for (auto item = at + 1; item < end;) {
    const auto* found = other;
    if (first != other) {
      const auto number = part.find_after(text_of(tape_, tape_.words[item]), static_cast<std::uint32_t>(slot - first));
      if (number != NameMap::kNone) {
        found = first + number;
        slot = found + 1;
      }
    }
    const auto& to = found->to;
    seen |= to.bit;
    const auto word = tape_.words[++item];
    const auto type = kTypes.of[tag_of(word)];
    if ((to.types & type) == 0 || (to.deep & type) != 0) {
      visit(*to.node, item, {}, nullptr);
      if (over()) return;
    }
    item = after(word, type, item);
  }
  const auto required = part.required.size();
  if (required == 0) return;
  // The first bits are theirs.
  for (auto missing = ~seen & (~std::uint64_t{0} >> (64 - required)); missing != 0 && !over(); missing &= missing - 1) {
    add(node, {}, "required");
  }
}

template <Sink kSink>
bool Reporter<kSink>::member(const Node& node, std::uint32_t number, std::size_t key, std::string_view name, Where where) {
  const auto& part = *node.object;
  const auto instance = Step::of_name(where.instance, name);
  bool matched = false;
  const auto into = [&](const Edge& to, std::string_view keyword, std::string_view token) {
    matched = true;
    if (passes(to, key + 1)) return;
    const auto step = Step::of_keyword(where.keyword, keyword, token);
    visit(to, key + 1, {&instance, &step, where.parent}, nullptr);
  };
  if (part.has_names) {
    const auto step = Step::of_keyword(where.keyword, "propertyNames");
    visit(part.property_names, key, {&instance, &step, where.parent}, nullptr);
  }
  if (number != NameMap::kNone) {
    const auto& entry = part.entries[number];
    if (entry.declared) into(entry.child, "properties", part.names.name(number));
    for (const auto which : entry.patterns) into(part.patterns[which].child, "patternProperties", part.patterns[which].source);
  } else {
    for (const auto& one : part.patterns) {
      if (eval_.pattern(*one.regex, name)) into(one.child, "patternProperties", one.source);
      if (over()) return false;
    }
  }
  if (!matched && part.has_additional) {
    matched = true;
    if (!passes(part.additional, key + 1)) {
      const auto step = Step::of_keyword(where.keyword, "additionalProperties");
      visit(part.additional, key + 1, {&instance, &step, where.parent}, nullptr);
    }
  }
  return matched;
}

template <Sink kSink>
inline void Reporter<kSink>::count_items(const Node& each, std::size_t at) {
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  for (auto item = at + 1; item < end && !over();) {
    const auto word = tape_.words[item];
    const auto type = kTypes.of[tag_of(word)];
    if ((each.types & type) == 0 || (each.deep & type) != 0) visit(each, item, {}, nullptr);
    item = after(word, type, item);
  }
}

template <Sink kSink>
void Reporter<kSink>::array(const Node& node, std::size_t at, Where where, const Marks* marks) {
  const auto& part = *node.array;
  const auto count = count_of(tape_, at);
  if (part.counted) {
    if (count < part.min) add(node, where, "minItems", count, " items, at least ", part.min, " are needed");
    if (count > part.max) add(node, where, "maxItems", count, " items, at most ", part.max, " are allowed");
  }
  if (!eval_.spend((static_cast<std::uint32_t>(tape_.words[at]) - at) / 2)) return;
  std::size_t ordinal = 0;
  std::uint64_t found = 0;
  std::optional<Step> items;
  if (kCounts && part.lean && !marks) {
    if (part.each.node) count_items(*part.each.node, at);
  } else if (!part.prefix.empty() || part.has_items || part.has_contains) {
    each_element(tape_, at, [&](std::size_t item) {
      if (over()) return;
      bool evaluated = true;
      if (ordinal < part.prefix.size()) {
        if (!passes(part.prefix[ordinal], item)) {
          const auto instance = Step::of_index(where.instance, ordinal);
          const auto index = Step::of_keyword(where.keyword, part.prefix_keyword, ordinal);
          visit(part.prefix[ordinal], item, {&instance, &index, where.parent}, nullptr);
        }
      } else if (part.has_items) {
        if (!passes(part.items, item)) {
          const auto instance = Step::of_index(where.instance, ordinal);
          if (!items) items = Step::of_keyword(where.keyword, part.items_keyword);
          visit(part.items, item, {&instance, &*items, where.parent}, nullptr);
        }
      } else {
        evaluated = false;
      }
      if (part.has_contains && eval_.edge(part.contains, item)) {
        ++found;
        evaluated = evaluated || part.contains_evaluates;
      }
      if (marks && evaluated) eval_.bits().set(marks->offset, ordinal);
      ++ordinal;
    });
  }
  if (over()) return;
  if (part.has_contains && found < part.min_contains) {
    add(node, where, part.has_min_contains ? "minContains" : "contains", found, " of ", count, " items match \"contains\", at least ",
        part.min_contains, " must");
  }
  if (part.has_contains && found > part.max_contains)
    add(node, where, "maxContains", found, " of ", count, " items match \"contains\", at most ", part.max_contains, " may");
  std::size_t first = 0;
  std::size_t second = 0;
  if (part.unique && !eval_.unique(at, &first, &second) && !eval_.halted()) {
    std::size_t index = 0;
    std::size_t a = 0;
    std::size_t b = 0;
    each_element(tape_, at, [&](std::size_t item) {
      if (item == first) a = index;
      if (item == second) b = index;
      ++index;
    });
    add(node, where, "uniqueItems", "the items ", a, " and ", b, " are the same: ", Shown{first});
  }
}

template <Sink kSink>
void Reporter<kSink>::rest(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks& marks) {
  const auto end = static_cast<std::uint32_t>(tape_.words[at]) - 1;
  const bool is_object = type == kObject;
  const std::string_view keyword = is_object ? "unevaluatedProperties" : "unevaluatedItems";
  if (!eval_.spend((end - at) / 2)) return;
  const auto& to = is_object ? node.unevaluated_properties : node.unevaluated_items;
  const auto step = Step::of_keyword(where.keyword, keyword);
  std::size_t ordinal = 0;
  for (auto item = at + 1; item < end && !over(); ++ordinal) {
    std::string_view name;
    if (is_object) name = text_at(tape_, item++);
    if (!eval_.bits().test(marks.offset, ordinal)) {
      const auto instance = is_object ? Step::of_name(where.instance, name) : Step::of_index(where.instance, ordinal);
      visit(to, item, {&instance, &step, where.parent}, nullptr);
    }
    item = next_of(tape_.words, item);
  }
}

template void Reporter<Sink::kCount>::values(const Node& node, const ValueSet& set, std::size_t at, Where where);
template void Reporter<Sink::kLedger>::values(const Node& node, const ValueSet& set, std::size_t at, Where where);
template void Reporter<Sink::kTexts>::values(const Node& node, const ValueSet& set, std::size_t at, Where where);
template void Reporter<Sink::kCount>::string(const Node& node, std::size_t at, Where where);
template void Reporter<Sink::kLedger>::string(const Node& node, std::size_t at, Where where);
template void Reporter<Sink::kTexts>::string(const Node& node, std::size_t at, Where where);
template void Reporter<Sink::kCount>::number(const Node& node, std::size_t at, Where where);
template void Reporter<Sink::kLedger>::number(const Node& node, std::size_t at, Where where);
template void Reporter<Sink::kTexts>::number(const Node& node, std::size_t at, Where where);
template void Reporter<Sink::kCount>::object(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kLedger>::object(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kTexts>::object(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kCount>::array(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kLedger>::array(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kTexts>::array(const Node& node, std::size_t at, Where where, const Marks* marks);
template void Reporter<Sink::kCount>::rest(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks& marks);
template void Reporter<Sink::kLedger>::rest(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks& marks);
template void Reporter<Sink::kTexts>::rest(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks& marks);

}  // namespace setget::inline v0::detail::schema
