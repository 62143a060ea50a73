// The compiled form of a schema: nodes that hold, for each type of value, what is checked of it; docs/adr/0018-json-schema.md says why.
// Private to the validator. Thread rule: immutable once compiled.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <setget/json_schema.hpp>

#include "validator/ecma_regex.hpp"
#include "validator/exact_number.hpp"
#include "validator/format.hpp"
#include "validator/name_map.hpp"
#include "validator/stable_list.hpp"
#include "validator/tape_writer.hpp"

namespace setget::inline v0::detail::schema {

struct Node;
struct Filter;

// From a keyword to a subschema. `fast` is where evaluation goes on when only the verdict counts: references are skipped, and it is null
// where everything is valid. `node` keeps to the schema's own structure.
struct Edge {
  const Node* fast = nullptr;
  const Node* node = nullptr;
};

struct PatternEdge {
  const Regex* regex = nullptr;
  std::string source{};
  Edge child{};
};

// A name that the schema knows: a property, or one that is only required.
struct NameEntry {
  Edge child{};
  bool declared = false;                  // in "properties"
  std::uint32_t tracked = 0xFFFFFFFF;     // number of its bit: required names first
  std::vector<std::uint32_t> patterns{};  // of ObjectPart::patterns that match it
};

struct Dependent {
  std::uint32_t trigger = 0;              // tracked bits
  std::vector<std::uint32_t> required{};  // tracked bits
  std::vector<std::uint32_t> names{};     // the same as numbers of names
  bool has_schema = false;
  Edge schema{};
  std::string keyword{};  // dependencies, dependentRequired, dependentSchemas
  std::string name{};
};

// What a loop over members or elements needs of a subschema, where only the verdict counts.
struct Quick {
  const Node* node = nullptr;  // null where everything is valid
  std::uint64_t bit = 0;       // of a tracked name, in `word`
  std::uint32_t word = 0;
  std::uint8_t types = kAnyType;  // the node's
  std::uint8_t deep = 0;          // the node's
};

// A name and what is said of the value under it.
struct Slot {
  NameMap::Entry name{};
  Quick to{};
};

// What the loop over most objects needs shares a cache line.
struct alignas(64) ObjectPart {
  bool counted = false;  // minProperties or maxProperties
  bool plain = false;    // nothing of a property is looked at but the count
  bool simple = false;   // properties, required and additional only: the loop without patterns, names and dependents
  bool lean = false;     // and no patterns either, and the slots say of each name what its own schema says
  bool has_additional = false;
  bool has_names = false;
  std::uint32_t tracked = 0;
  std::vector<Slot> slots{};              // by the number of the name; the last, which is the name of nothing, for any other
  std::vector<std::uint32_t> required{};  // numbers of names, in the schema's order; the i-th has the tracked bit i
  NameMap names{};
  std::vector<NameEntry> entries{};
  std::vector<PatternEdge> patterns{};
  Edge additional{};
  Edge property_names{};
  std::uint64_t min = 0;
  std::uint64_t max = UINT64_MAX;
  std::vector<Dependent> dependents{};

  // The number of a name, first of `guess`: names of objects tend to come in one order. A few are found sooner by looking at each.
  std::uint32_t find_after(std::string_view name, std::uint32_t guess) const noexcept {
    const auto count = static_cast<std::uint32_t>(slots.size() - 1);
    if (guess < count && names.is_same(slots[guess].name, name)) return guess;
    if (count > NameMap::kFew) return names.find_anywhere(name);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (names.is_same(slots[i].name, name)) return i;
    }
    return NameMap::kNone;
  }
};

struct alignas(64) ArrayPart {
  bool has_items = false;
  bool has_contains = false;
  bool unique = false;
  bool counted = false;             // minItems or maxItems
  bool flat = false;                // "items" only, and that of leaves without arrays
  bool lean = false;                // no prefix and no "contains", and `each` says what the items' own schema says
  bool contains_evaluates = false;  // 2020-12: what contains matched counts as evaluated
  bool has_min_contains = false;
  Quick each{};  // of what comes after the prefix
  std::vector<Edge> prefix{};
  std::uint64_t min = 0;
  std::uint64_t max = UINT64_MAX;
  Edge items{};  // as `each`
  Edge contains{};
  std::uint64_t min_contains = 1;
  std::uint64_t max_contains = UINT64_MAX;
  std::string_view prefix_keyword = "prefixItems";
  std::string_view items_keyword = "items";
};

struct alignas(64) StringPart {
  std::uint64_t min = 0;
  std::uint64_t max = UINT64_MAX;
  const Regex* pattern = nullptr;
  FormatCheck format = nullptr;
  std::uint64_t format_weight = 0;
  bool length_only = false;
  bool has_content = false;  // one of the two below
  std::string pattern_source{};
  std::string format_name{};
  std::string content_encoding{};  // only where content is asserted
  std::string content_media_type{};
};

struct Bound {
  bool is_set = false;
  bool exclusive = false;
  Number number{};
  std::string_view keyword{};
  std::string shown{};
};

struct alignas(64) NumberPart {
  // Bounds that are integers, and nothing else: then this is all there is to an integer.
  bool is_range = false;
  bool has_minimum = false;  // or an exclusive one
  bool has_maximum = false;  // or an exclusive one
  bool has_multiple = false;
  std::int64_t least = INT64_MIN;
  std::int64_t most = INT64_MAX;
  Bound multiple_of{};
  Bound minimum{};
  Bound exclusive_minimum{};
  Bound maximum{};
  Bound exclusive_maximum{};
};

// "enum" or "const": strings, integers and containers as sets, other numbers one by one.
struct alignas(64) ValueSet {
  std::uint8_t types = 0;  // of the values
  bool has_true = false;
  bool has_false = false;
  bool is_const = false;
  std::vector<std::int64_t> integers{};                             // sorted; 1.0 is one
  std::vector<std::pair<std::uint64_t, std::size_t>> containers{};  // hashes, and places on `tape`; sorted
  NameMap strings{};
  std::vector<Number> numbers{};  // the others
  Tape tape{};
  std::vector<std::size_t> all{};  // for messages
};

enum class OpKind : std::uint8_t { kRef, kDynamicRef, kAllOf, kAnyOf, kOneOf, kNot, kIf };

struct alignas(64) Op {
  OpKind kind = OpKind::kRef;
  bool has_then = false;
  bool has_else = false;
  std::uint32_t dynamic_name = 0;
  Edge edge{};  // $ref, not, if
  std::vector<Edge> branches{};
  const Filter* filter = nullptr;  // of anyOf and oneOf
  std::string_view keyword = "$ref";
  Edge then_edge{};
  Edge else_edge{};
};

// What a visit asks first shares a cache line.
struct alignas(64) Node {
  std::uint8_t types = kAnyType;
  std::uint8_t deep = 0;  // types of which more than the type is checked
  bool leaf = false;      // nothing in it applies schemas to parts but a flat array
  bool record = false;    // all that is said of an object is a simple part with few names
  bool has_unevaluated_properties = false;
  bool has_unevaluated_items = false;
  bool never = false;               // the schema `false`
  bool whole_only_by_text = false;  // draft 4: 1.0 is not an integer
  bool has_type = false;
  bool has_values = false;  // `values` is not empty
  std::uint32_t resource = 0;
  ObjectPart* object = nullptr;  // the program's
  ArrayPart* array = nullptr;    // the program's
  StringPart* string = nullptr;  // the program's
  NumberPart* number = nullptr;  // the program's
  std::vector<Op> ops{};
  std::vector<const ValueSet*> values{};
  const Node* unfused = nullptr;  // what a fused node (schema_fuse.cpp) stands for
  Edge unevaluated_properties{};
  Edge unevaluated_items{};
  std::uint32_t document = 0;  // where it stands: of Program::documents, and the place on its tape
  std::uint32_t at = 0;
};

// Where a node is no more than one thing: that thing, so that a verdict reaches it in one step.
enum class Sole : std::uint8_t { kNone, kSet, kString, kNumber, kRecord, kObject, kArray, kOp };

inline Quick quick_of(const Node* node) noexcept { return node ? Quick{.node = node, .types = node->types, .deep = node->deep} : Quick{}; }

// Which branches of anyOf or oneOf can match at all: for each fact about the value, the set of branches that it does not exclude.
struct Filter;

struct FilterName {
  // The first words of the sets of branches that allow the name, and of those that do not require it.
  std::uint64_t present = 0;
  std::uint64_t absent = 0;
  const Filter* value = nullptr;  // facts about the value under this name
  bool required = false;          // any of them does
};

struct Filter {
  std::size_t words = 1;
  std::array<std::uint64_t, 7> word_by_type{};  // the first words of the sets by type
  bool has_names = false;
  bool has_strings = false;
  NameMap names{};
  std::vector<FilterName> by_name{};
  std::vector<std::uint32_t> required{};  // names that some branch requires
  NameMap strings{};
  std::vector<std::uint64_t> sets{};  // all of them, `words` each, as below

  const std::uint64_t* by_type(std::size_t bit) const noexcept { return at(bit); }
  // Of branches that allow names, and strings, not listed.
  const std::uint64_t* other_name() const noexcept { return at(7); }
  const std::uint64_t* other_string() const noexcept { return at(8); }
  const std::uint64_t* present(std::size_t name) const noexcept { return at(9 + 2 * name); }
  const std::uint64_t* absent(std::size_t name) const noexcept { return at(10 + 2 * name); }
  const std::uint64_t* by_string(std::size_t string) const noexcept { return at(9 + 2 * names.size() + string); }

 private:
  const std::uint64_t* at(std::size_t set) const noexcept { return sets.data() + set * words; }
};

// One of the resources of a schema: what has a URI of its own. Only where dynamic references need it at run time.
struct DynamicScope {
  std::vector<std::pair<std::uint32_t, const Node*>> anchors{};  // number of the name, node
};

// Where a resource begins, for locations.
struct ResourcePlace {
  std::string uri{};
  std::uint32_t document = 0;
  std::size_t root = 1;
  std::string base{};  // what locations in it begin with: the URI, unless it was made up, and '#'
};

struct SchemaDocument {
  TapeWriter tape{};
  std::string uri{};
};

}  // namespace setget::inline v0::detail::schema

// What every evaluation looks at comes first, in one line of the cache.
struct alignas(64) setget::json_schema::Validator::Program {
  setget::detail::schema::Edge root{};
  std::uint64_t max_steps = 0;    // limits'
  std::uint32_t max_nesting = 0;  // the same
  std::uint32_t max_errors = 0;   // the same
  // Of what is only counted: they bound how long it takes, and what stack, to list it for whoever looks at it.
  static constexpr std::uint32_t kCountedSteps = 10'000;
  static constexpr std::uint32_t kCountedNesting = 64;
  std::uint32_t counted_steps = 0;
  std::uint32_t counted_nesting = 0;
  std::uint32_t root_resource = 0;
  std::uint8_t root_types = setget::detail::schema::kAnyType;  // of root.fast, as in Quick
  std::uint8_t root_deep = 0;
  bool dynamic = false;  // the dynamic scope must be known
  setget::json_schema::Draft draft{};
  setget::detail::schema::Sole sole = setget::detail::schema::Sole::kNone;  // what root.fast is, beyond its types
  union {
    const setget::detail::schema::ValueSet* set = nullptr;
    const setget::detail::schema::StringPart* string;
    const setget::detail::schema::NumberPart* number;
    const setget::detail::schema::ObjectPart* object;
    const setget::detail::schema::ArrayPart* array;
    const setget::detail::schema::Op* op;
  } of_root{};
  // The schema's own; the root's is the first, so that it is known where that stands before anything has been read here.
  setget::detail::schema::StableList<setget::detail::schema::Node, true> nodes{};
  setget::json_schema::SchemaLimits limits{};
  std::vector<setget::detail::schema::DynamicScope> scopes{};
  std::vector<setget::detail::schema::ResourcePlace> resources{};
  setget::detail::schema::StableList<setget::detail::schema::Node> fused{};  // for verdicts: schema_fuse.cpp
  setget::detail::schema::StableList<setget::detail::schema::ObjectPart> objects{};
  setget::detail::schema::StableList<setget::detail::schema::ArrayPart> arrays{};
  setget::detail::schema::StableList<setget::detail::schema::StringPart> strings{};
  setget::detail::schema::StableList<setget::detail::schema::NumberPart> numbers{};
  setget::detail::schema::StableList<setget::detail::schema::ValueSet> values{};
  setget::detail::schema::StableList<setget::detail::schema::Filter> filters{};
  std::vector<std::unique_ptr<const setget::detail::schema::Regex>> patterns{};
  std::vector<std::shared_ptr<const setget::detail::schema::SchemaDocument>> documents{};  // constants stand in their tapes
};
