// Fused nodes: a schema together with what its $ref and allOf lead to, as one node whose object part looks at each member once. For
// verdicts only; lists of violations and "unevaluated…" keep to the schema's own structure (Node::unfused). docs/adr/0018-json-schema.md.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "validator/schema_compiler.hpp"

namespace setget::inline v0::detail::schema {
namespace {

using Program = json_schema::Validator::Program;
using Nodes = std::vector<const Node*>;

class Fuser {
 public:
  explicit Fuser(Program& program) : program_(program) {}

  void run() {
    // The dynamic scope depends on the way: nothing is left out of it.
    if (program_.dynamic) return;
    for (const auto& node : program_.nodes) left_ += kShare * weight(node);
    for (const auto& part : program_.objects) left_ += kShare * weight(part.names);
    for (auto& node : program_.nodes) {
      if (has_joints(node)) of(node);
    }
    if (fused_.empty()) return;
    // Merged parts may ask for several schemas at once, which are fused in turn; new ones come to the end.
    for (std::size_t i = 0; i < program_.fused.size(); ++i) {  // NOLINT(modernize-loop-convert): it grows meanwhile
      if (!program_.fused[i].unfused) of(program_.fused[i]);
    }
    for (auto& node : program_.nodes) {
      each_edge(node, [&](Edge& to) { redirect(to); });
    }
    for (auto& node : program_.fused) {
      for (auto& op : node.ops) each_edge_of(op, [&](Edge& to) { redirect(to); });
    }
    for (auto& part : program_.objects) {
      for (auto& slot : part.slots) redirect(slot.to);
    }
    for (auto& part : program_.arrays) redirect(part.each);
    redirect(program_.root);
  }

 private:
  // Whether a node has anything to be fused with.
  static bool has_joints(const Node& node) {
    if (node.has_unevaluated_properties || node.has_unevaluated_items) return false;
    return std::ranges::any_of(node.ops, [](const Op& op) { return op.kind == OpKind::kRef || op.kind == OpKind::kAllOf; });
  }

  template <class F>
  static void each_edge_of(Op& op, F&& f) {
    if (op.edge.node) f(op.edge);
    if (op.has_then) f(op.then_edge);
    if (op.has_else) f(op.else_edge);
    for (auto& branch : op.branches) f(branch);
  }

  // What a node takes, in nodes, values, operations and branches: a sum has them all again. The most that joining it can add, for each
  // branch that is not joined in turn becomes one reference.
  static std::size_t weight(const Node& node) {
    auto sum = 1 + node.values.size();
    for (const auto& op : node.ops) sum += 1 + op.branches.size();
    return sum;
  }
  static std::size_t weight(const NameMap& names) { return names.size() + names.bytes() / 32; }

  // The fused node of this one, or null.
  const Node* of(const Node& node) {
    if (const auto known = fused_.find(&node); known != fused_.end()) return known->second;
    if (weight(node) > left_) return nullptr;
    auto& out = program_.fused.emplace_back();
    out.unfused = &node;
    out.resource = node.resource;
    out.document = node.document;
    out.at = node.at;
    fused_[&node] = &out;
    Sum sum;
    sum.node = &out;
    join(sum, node, 0);
    finish(sum);
    return &out;
  }

  // The names of the object parts of a sum.
  struct Names {
    std::size_t parts = 0;
    std::size_t count = 0;
    std::size_t weight = 0;
    std::size_t others = 0;  // parts that say something of any other name

    Names with(const ObjectPart& part) const {
      return {parts + 1, count + part.names.size(), weight + Fuser::weight(part.names), others + (part.slots.back().to.node ? 1 : 0)};
    }
    // What a merged part takes: each name for its own part, and again for each part that speaks of any.
    std::size_t merged() const { return parts < 2 ? 0 : weight + others * (count + 1); }
  };

  struct Sum {
    Node* node = nullptr;
    std::vector<ObjectPart*> objects{};
    Names names{};
    std::set<const Node*> in{};
  };

  static std::size_t price(const Sum& sum, const Node& node) {
    return weight(node) + (node.object ? sum.names.with(*node.object).merged() - sum.names.merged() : 0);
  }

  // Whether all of `node` can become a part of the sum.
  bool fits(const Sum& sum, const Node& node) const {
    const auto& out = *sum.node;
    if (node.has_unevaluated_properties || node.has_unevaluated_items) return false;
    if (node.has_type && out.has_type && node.whole_only_by_text != out.whole_only_by_text) return false;
    if ((out.array && node.array) || (out.string && node.string) || (out.number && node.number)) return false;
    const auto mergeable = [](const ObjectPart& part) { return part.simple && !part.counted; };
    if (node.object && !sum.objects.empty() && !(mergeable(*node.object) && mergeable(*sum.objects.front()))) return false;
    return price(sum, node) <= left_;
  }

  void join(Sum& sum, const Node& node, std::size_t depth) {
    auto& out = *sum.node;
    if (!sum.in.insert(&node).second) return;
    left_ -= std::min(left_, price(sum, node));
    out.types &= node.types;
    if (node.has_type) {
      out.has_type = true;
      out.whole_only_by_text = node.whole_only_by_text;
    }
    if (node.object) {
      sum.objects.push_back(node.object);
      sum.names = sum.names.with(*node.object);
    }
    if (node.array) out.array = node.array;
    if (node.string) out.string = node.string;
    if (node.number) out.number = node.number;
    out.values.insert(out.values.end(), node.values.begin(), node.values.end());
    for (const auto& op : node.ops) {
      if (op.kind == OpKind::kRef) {
        branch(sum, op.edge, depth);
      } else if (op.kind == OpKind::kAllOf) {
        for (const auto& one : op.branches) branch(sum, one, depth);
      } else {
        out.ops.push_back(op);
      }
    }
  }

  void branch(Sum& sum, const Edge& to, std::size_t depth) {
    if (!to.fast) return;
    if (depth < 32 && fits(sum, *to.fast)) return join(sum, *to.fast, depth + 1);
    Op op{.kind = OpKind::kRef};
    op.edge = to;
    sum.node->ops.push_back(std::move(op));
  }

  void finish(Sum& sum) {
    auto& out = *sum.node;
    if (sum.objects.size() == 1) out.object = sum.objects.front();
    if (sum.objects.size() > 1) out.object = &merged(sum.objects);
    deepen(out);
  }

  // Each name with what every part says of it.
  ObjectPart& merged(const std::vector<ObjectPart*>& parts) {
    auto& out = program_.objects.emplace_back();
    for (const auto* part : parts) {
      for (const auto number : part->required) out.names.add(part->names.name(number));
    }
    out.tracked = static_cast<std::uint32_t>(out.names.size());
    for (std::uint32_t i = 0; i < out.tracked; ++i) out.required.push_back(i);
    for (const auto* part : parts) {
      for (std::uint32_t i = 0; i < part->names.size(); ++i) out.names.add(part->names.name(i));
    }
    std::vector<Nodes> said(out.names.size() + 1);
    const auto say = [](Nodes& nodes, const Quick& quick) {
      if (quick.node) nodes.push_back(quick.node);
    };
    for (const auto* part : parts) {
      const auto& other = part->slots.back().to;
      std::vector<bool> is_own(other.node ? said.size() : 0);
      for (std::uint32_t i = 0; i < part->names.size(); ++i) {
        const auto number = out.names.add(part->names.name(i));
        say(said[number], part->slots[i].to);
        if (other.node) is_own[number] = true;
      }
      for (std::size_t i = 0; i < is_own.size(); ++i) {
        if (!is_own[i]) say(said[i], other);
      }
    }
    out.names.build();
    out.simple = true;
    for (std::size_t i = 0; i < said.size(); ++i) {
      auto quick = quick_of(all_of(said[i]));
      if (i < out.tracked) {
        quick.word = static_cast<std::uint32_t>(i / 64);
        quick.bit = std::uint64_t{1} << (i % 64);
      }
      out.slots.push_back({.to = quick});
      if (i < out.names.size()) out.slots.back().name = out.names.entry(static_cast<std::uint32_t>(i));
    }
    return out;
  }

  // One node that asks for all of these.
  const Node* all_of(Nodes& nodes) {
    if (nodes.empty()) return nullptr;
    std::ranges::sort(nodes, {}, [](const Node* one) { return std::pair(one->document, one->at); });
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    if (nodes.size() == 1) return nodes.front();
    auto& known = all_of_[nodes];
    if (known) return known;
    auto& out = program_.fused.emplace_back();
    known = &out;
    Op op{.kind = OpKind::kAllOf, .keyword = "allOf"};
    for (const auto* one : nodes) {
      op.branches.push_back({.fast = one, .node = one});
    }
    out.ops.push_back(std::move(op));
    deepen(out);
    return known;
  }

  void redirect(Edge& to) {
    if (!to.fast) return;
    if (const auto found = fused_.find(to.fast); found != fused_.end()) to.fast = found->second;
  }
  void redirect(Quick& quick) {
    const auto found = fused_.find(quick.node);
    if (found == fused_.end()) return;
    quick.node = found->second;
    quick.types = found->second->types;
    quick.deep = found->second->deep;
  }

  // So a schema whose parts refer to each other crosswise does not become as large as their number squared: what finds no room stays apart.
  static constexpr std::size_t kShare = 4;  // of what the schema itself takes

  Program& program_;
  std::size_t left_ = 8192;  // what fused nodes may still take, in weights
  std::unordered_map<const Node*, const Node*> fused_;
  std::map<Nodes, const Node*> all_of_;
};

}  // namespace

void deepen(Node& node) {
  std::uint8_t deep = 0;
  if (node.object) deep |= kObject;
  if (node.array) deep |= kArray;
  if (node.string) deep |= kString;
  if (node.number) deep |= kNumber;
  if (node.has_unevaluated_properties) deep |= kObject;
  if (node.has_unevaluated_items) deep |= kArray;
  if (!node.values.empty() || !node.ops.empty()) deep = kAnyType;
  node.deep = deep;
}

namespace {

// Where scopes count, and for "unevaluated…", a node is more than its parts.
void find_sole(Program& program) {
  const auto* node = program.root.fast;
  if (!node || program.dynamic || node->has_unevaluated_properties || node->has_unevaluated_items) return;
  const auto parts = node->values.size() + node->ops.size() + (node->object ? 1U : 0U) + (node->array ? 1U : 0U) +
                     (node->string ? 1U : 0U) + (node->number ? 1U : 0U);
  if (parts != 1) return;
  if (!node->values.empty()) {
    program.sole = Sole::kSet;
    program.of_root.set = node->values.front();
  } else if (node->string) {
    program.sole = Sole::kString;
    program.of_root.string = node->string;
  } else if (node->number) {
    program.sole = Sole::kNumber;
    program.of_root.number = node->number;
  } else if (node->object) {
    program.sole = node->record ? Sole::kRecord : Sole::kObject;
    program.of_root.object = node->object;
  } else if (node->array) {
    program.sole = Sole::kArray;
    program.of_root.array = node->array;
  } else {
    program.sole = Sole::kOp;
    program.of_root.op = &node->ops.front();
  }
}

// Whether the quick look is at the schema itself, and at nothing that it is fused with or leads to.
bool is_own(const Quick& quick, const Edge& edge) { return quick.node == (edge.fast ? edge.node : nullptr); }

bool is_lean(const ObjectPart& part) {
  if (!part.simple || !part.patterns.empty() || part.tracked > 64 || part.slots.size() != part.entries.size() + 1) return false;
  const auto& other = part.has_additional ? part.additional : Edge{};
  for (std::size_t i = 0; i < part.entries.size(); ++i) {
    if (!is_own(part.slots[i].to, part.entries[i].declared ? part.entries[i].child : other)) return false;
  }
  return is_own(part.slots.back().to, other);
}

}  // namespace

void classify(Program& program) {
  const auto each_node = [&](auto&& f) {
    for (auto& node : program.nodes) f(node);
    for (auto& node : program.fused) f(node);
  };
  const auto alone = [](const Node& node) { return node.ops.empty() && !node.has_unevaluated_properties && !node.has_unevaluated_items; };
  each_node([&](Node& node) {
    node.has_values = !node.values.empty();
    node.leaf = !node.object && !node.array && alone(node);
    node.record =
        node.object && node.object->simple && node.object->tracked <= 64 && node.values.empty() && alone(node) && !program.dynamic;
  });
  for (auto& part : program.strings) part.has_content = !part.content_encoding.empty() || !part.content_media_type.empty();
  for (auto& part : program.numbers) {
    part.has_minimum = part.minimum.is_set || part.exclusive_minimum.is_set;
    part.has_maximum = part.maximum.is_set || part.exclusive_maximum.is_set;
    part.has_multiple = part.multiple_of.is_set;
  }
  for (auto& part : program.arrays) {
    const bool items_only = part.prefix.empty() && !part.has_contains && !part.unique && part.min == 0 && part.max == UINT64_MAX;
    part.counted = part.min > 0 || part.max != UINT64_MAX;
    part.flat = items_only && (!part.each.node || part.each.node->leaf);
    part.lean = part.prefix.empty() && !part.has_contains && is_own(part.each, part.has_items ? part.items : Edge{});
  }
  for (auto& part : program.objects) part.lean = is_lean(part);
  // Leaves so far have no arrays, so this goes no deeper than one.
  each_node([&](Node& node) { node.leaf = node.leaf || (!node.object && node.array && node.array->flat && alone(node)); });
  find_sole(program);
}

void fuse(Program& program) { Fuser(program).run(); }

}  // namespace setget::inline v0::detail::schema
