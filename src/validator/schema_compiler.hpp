// Compiler: from the registry's places to the nodes of a program. Private to the validator. Thread rule: one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "validator/schema_registry.hpp"

namespace setget::inline v0::detail::schema {

class Compiler {
 public:
  using Program = json_schema::Validator::Program;
  Compiler(Registry& registry, const json_schema::Options& options);
  // The program whose root is this resource.
  Result<std::shared_ptr<const Program>> run(const Resource& root);

 private:
  // A schema's keywords: places of their values, 0 where it has none.
  using Keywords = std::array<std::size_t, kKeyCount>;

  Node* node_for(const Place& place);
  Result<void> edge(Edge& to, std::size_t at, std::string_view keyword);
  Result<void> fill(Node& node, const Place& place);
  Result<void> references(Node& node, const Keywords& has);
  Result<void> reference(Node& node, std::size_t at, const char* keyword, bool dynamic);
  Result<void> types(Node& node, std::size_t at);
  Result<void> values(Node& node, const Keywords& has);
  Result<void> object(Node& node, const Keywords& has);
  Result<void> properties(ObjectPart& part, const Keywords& has);
  Result<void> required(ObjectPart& part, const Keywords& has);
  Result<void> dependents(ObjectPart& part, std::size_t map, const char* keyword);
  Result<void> array(Node& node, const Keywords& has);
  Result<void> string(Node& node, const Keywords& has);
  Result<void> number(Node& node, const Keywords& has);
  Result<void> bound(Bound& bound, std::size_t at, const char* keyword);
  Result<void> combinations(Node& node, const Keywords& has);
  Result<void> branches(Node& node, std::size_t at, OpKind kind, const char* keyword);
  Result<void> unevaluated(Node& node, const Keywords& has);
  Result<const Regex*> regex(std::string_view pattern, std::string_view keyword);
  Result<std::uint64_t> count(std::size_t at, std::string_view keyword);
  void finish(ObjectPart& part);

  Result<void> drain();
  Result<void> bind_dynamic();
  Result<void> refuse_loops();
  void shorten();
  const Node* skip_references(const Node& owner, const Node* node);
  void add_filters();

  std::size_t value(const Keywords& has, Key key) const noexcept { return has[static_cast<std::size_t>(key)]; }
  char tag(std::size_t at) const noexcept { return static_cast<char>(tag_of(tape_.words[at])); }
  Error error(std::string_view keyword, std::string_view what) const { return registry_.error(*place_, keyword, what); }

  struct Pending {
    Node* node;
    const Place* place;
  };
  struct DynamicUse {
    Node* node;
    std::size_t op;
    std::string name;
  };

  Registry& registry_;
  const json_schema::Options& options_;
  std::shared_ptr<Program> program_;
  std::vector<Node*> nodes_;  // by the number of the place
  std::vector<Pending> queue_;
  std::unordered_map<std::string, const Regex*> regexes_;
  std::unordered_map<const Node*, const Node*> way_ends_;  // of nodes that are a reference and nothing else: where the ways from them end
  std::vector<DynamicUse> dynamic_;
  std::vector<bool> touched_;  // resources with a node
  std::uint64_t steps_left_;   // for names that are matched with patterns
  // Of the schema being filled.
  const Place* place_ = nullptr;
  Node* node_ = nullptr;
  Tape tape_{};
};

// f(edge) for each edge that leaves a node.
template <class F>
void each_edge(Node& node, F&& f) {
  if (node.object) {
    for (auto& entry : node.object->entries) {
      if (entry.declared) f(entry.child);
    }
    for (auto& pattern : node.object->patterns) f(pattern.child);
    if (node.object->has_additional) f(node.object->additional);
    if (node.object->has_names) f(node.object->property_names);
    for (auto& dependent : node.object->dependents) {
      if (dependent.has_schema) f(dependent.schema);
    }
  }
  if (node.array) {
    for (auto& item : node.array->prefix) f(item);
    if (node.array->has_items) f(node.array->items);
    if (node.array->has_contains) f(node.array->contains);
  }
  for (auto& op : node.ops) {
    if (op.edge.node) f(op.edge);
    if (op.has_then) f(op.then_edge);
    if (op.has_else) f(op.else_edge);
    for (auto& branch : op.branches) f(branch);
  }
  if (node.has_unevaluated_properties) f(node.unevaluated_properties);
  if (node.has_unevaluated_items) f(node.unevaluated_items);
}

// Fills op.filter of every anyOf and oneOf that facts about a value can narrow down.
void make_filters(json_schema::Validator::Program& program);

// Sets node.deep.
void deepen(Node& node);
// Sets what stands for short ways through evaluation: leaf, record, flat.
void classify(json_schema::Validator::Program& program);

// Makes fused nodes and leads the edges for verdicts to them.
void fuse(json_schema::Validator::Program& program);

// Where a node stands in its schema: URI and fragment.
std::string location_of(const json_schema::Validator::Program& program, const Node& node);
void append_location(Text& out, const json_schema::Validator::Program& program, const Node& node);

// A value as text, cut after `most` bytes.
std::string shown_value(const Tape& tape, std::size_t at, std::size_t most = 100);
void append_shown(Text& out, const Tape& tape, std::size_t at, std::size_t most = 100);

}  // namespace setget::inline v0::detail::schema
