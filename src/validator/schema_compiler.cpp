#include "validator/schema_compiler.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/cut_text.hpp"

namespace setget::inline v0::detail::schema {

void append_location(Text& out, const json_schema::Validator::Program& program, const Node& node) {
  const auto& resource = program.resources[node.resource];
  out += std::string_view(resource.base);
  const auto start = out.size();
  append_pointer(out, program.documents[node.document]->tape.tape(), resource.root, node.at);
  if (stands_for_itself(out.view().substr(start))) return;
  const std::string pointer(out.view().substr(start));
  out.cut(start);
  append_fragment(out, pointer);
}

std::string location_of(const json_schema::Validator::Program& program, const Node& node) {
  Text out;
  append_location(out, program, node);
  return out.str();
}

Compiler::Compiler(Registry& registry, const json_schema::Options& options)
    : registry_(registry), options_(options), program_(std::make_shared<Program>()), steps_left_(options.limits.max_steps) {}

Result<std::shared_ptr<const Compiler::Program>> Compiler::run(const Resource& root) {
  program_->draft = root.dialect.draft;
  program_->limits = options_.limits;
  program_->max_steps = options_.limits.max_steps;
  program_->max_nesting = static_cast<std::uint32_t>(options_.limits.max_nesting);
  program_->max_errors = static_cast<std::uint32_t>(std::min<std::size_t>(options_.limits.max_errors, UINT32_MAX));
  program_->counted_steps = static_cast<std::uint32_t>(std::min<std::size_t>(options_.limits.max_steps, Program::kCountedSteps));
  program_->counted_nesting = std::min(program_->max_nesting, Program::kCountedNesting);
  program_->root.node = node_for(registry_.place(root.document, root.root));
  if (auto drained = drain(); !drained) return drained.error();
  if (auto bound = bind_dynamic(); !bound) return bound.error();
  program_->documents = registry_.documents();
  for (const auto& resource : registry_.resources()) {
    auto& place = program_->resources.emplace_back(ResourcePlace{resource.uri_text, resource.document, resource.root});
    append_base(place.base, place.uri);
  }
  if (auto checked = refuse_loops(); !checked) return checked.error();
  for (auto& node : program_->nodes) deepen(node);
  shorten();
  make_filters(*program_);
  fuse(*program_);
  classify(*program_);
  program_->root_resource = program_->root.node->resource;
  const auto root_quick = quick_of(program_->root.fast);
  program_->root_types = root_quick.types;
  program_->root_deep = root_quick.deep;
  return std::shared_ptr<const Program>(std::move(program_));
}

Node* Compiler::node_for(const Place& place) {
  if (nodes_.size() <= place.number) nodes_.resize(registry_.place_count());
  auto& known = nodes_[place.number];
  if (known) return known;
  known = &program_->nodes.emplace_back();
  known->resource = place.resource->number;
  known->document = place.document;
  known->at = static_cast<std::uint32_t>(place.at);
  if (touched_.size() <= place.resource->number) touched_.resize(place.resource->number + 1);
  touched_[place.resource->number] = true;
  queue_.push_back({known, &place});
  return known;
}

Result<void> Compiler::drain() {
  while (!queue_.empty()) {
    if (program_->nodes.size() > options_.limits.max_schema_nodes) {
      return Error(ErrorCode::kTooLarge, fmt::format("schema: more than {} subschemas", options_.limits.max_schema_nodes));
    }
    const auto next = queue_.back();
    queue_.pop_back();
    if (auto filled = fill(*next.node, *next.place); !filled) return filled;
  }
  return {};
}

Result<void> Compiler::edge(Edge& to, std::size_t at, std::string_view keyword) {
  const auto kind = tag(at);
  const bool boolean = kind == 't' || kind == 'f';
  // Draft 4 knows booleans under two keywords only.
  const bool may_be_boolean =
      place_->resource->dialect.draft != Draft::kDraft4 || keyword == "additionalProperties" || keyword == "additionalItems";
  if (kind != '{' && (!boolean || !may_be_boolean)) {
    return error(keyword, boolean ? "draft 4 has no boolean schemas" : "a schema is an object or a boolean");
  }
  const auto* place = registry_.find_place(place_->document, at);
  if (!place) return error(keyword, "not a schema");
  to.node = node_for(*place);
  return {};
}

Result<void> Compiler::fill(Node& node, const Place& place) {
  place_ = &place;
  node_ = &node;
  tape_ = registry_.tape(place.document);
  const auto& dialect = place.resource->dialect;
  const auto kind = tag(place.at);  // draft 4's booleans: see edge()
  if (kind == 't') return {};
  if (kind == 'f') {
    node.types = 0;
    node.never = true;
    return {};
  }
  if (kind != '{') return error("", dialect.draft == Draft::kDraft4 ? "a schema is an object" : "a schema is an object or a boolean");
  Keywords has{};
  std::string twice;
  each_member(tape_, place.at, [&](std::string_view name, std::size_t at) {
    const auto* rule = find_keyword(name, dialect);
    if (!rule) return;
    auto& slot = has[static_cast<std::size_t>(rule->key)];
    if (slot != 0) twice = name;
    slot = at;
  });
  if (!twice.empty()) return error(twice, "the schema has this keyword twice");
  // Up to draft 7 a reference is all that counts.
  if (dialect.draft <= Draft::kDraft7 && value(has, Key::kRef) != 0) return reference(node, value(has, Key::kRef), "$ref", false);

  using Step = Result<void> (Compiler::*)(Node&, const Keywords&);
  for (const Step step : {&Compiler::values, &Compiler::object, &Compiler::array, &Compiler::string, &Compiler::number,
                          &Compiler::references, &Compiler::combinations, &Compiler::unevaluated}) {
    if (auto done = (this->*step)(node, has); !done) return done;
  }
  return {};
}

Result<void> Compiler::references(Node& node, const Keywords& has) {
  if (const auto at = value(has, Key::kRef)) {
    if (auto done = reference(node, at, "$ref", false); !done) return done;
  }
  if (const auto at = value(has, Key::kRecursiveRef)) {
    if (auto done = reference(node, at, "$recursiveRef", true); !done) return done;
  }
  if (const auto at = value(has, Key::kDynamicRef)) return reference(node, at, "$dynamicRef", true);
  return {};
}

Result<void> Compiler::reference(Node& node, std::size_t at, const char* keyword, bool dynamic) {
  if (tag(at) != '"') return error(keyword, "a reference is a string");
  const auto text = text_at(tape_, at);
  std::string anchor;
  const auto* const place = place_;
  auto found = registry_.resolve(*place->resource, text, &anchor);
  if (!found) {
    auto where = registry_.shown(*place, keyword);
    const auto& cause = found.error();
    return Error(cause.code(), fmt::format("schema: {}: {}", where, cause.message())).at_field(std::move(where)).because(cause.reasons());
  }
  const auto* target = *found;
  const auto target_kind = static_cast<char>(tag_of(registry_.tape(target->document).words[target->at]));
  if (target_kind != '{' && target_kind != 't' && target_kind != 'f') return error(keyword, "what it refers to is no schema");
  Op op{.kind = OpKind::kRef, .keyword = keyword};
  op.edge.node = node_for(*target);
  if (dynamic) {
    // Dynamic only where the first target says so itself.
    const auto& names = target->resource->dynamic_anchors;
    const bool recursive = place->resource->dialect.draft == Draft::kDraft201909;
    const auto known = recursive ? names.find("") : names.find(anchor);
    if (known != names.end() && known->second == target->at && (recursive || !anchor.empty())) {
      dynamic_.push_back({&node, node.ops.size(), recursive ? "" : anchor});
    }
  }
  node.ops.push_back(std::move(op));
  return {};
}

// Every resource that can be in the dynamic scope brings its anchors of the names in use; that may bring in further resources.
Result<void> Compiler::bind_dynamic() {
  std::unordered_map<std::string, std::map<std::uint32_t, Node*>> anchors;  // by name, then by resource
  for (bool more = true; more;) {
    more = false;
    for (std::size_t i = 0; i < dynamic_.size(); ++i) {  // NOLINT(modernize-loop-convert): it may grow meanwhile
      auto& known = anchors[dynamic_[i].name];
      for (const auto& resource : registry_.resources()) {
        if (resource.number >= touched_.size() || !touched_[resource.number] || known.contains(resource.number)) continue;
        const auto anchor = resource.dynamic_anchors.find(dynamic_[i].name);
        if (anchor == resource.dynamic_anchors.end()) continue;
        known.emplace(resource.number, node_for(registry_.place(resource.document, anchor->second)));
        more = true;
      }
    }
    if (auto drained = drain(); !drained) return drained;
  }
  std::unordered_map<std::string, std::uint32_t> numbers;
  for (const auto& use : dynamic_) {
    auto& op = use.node->ops[use.op];
    const auto& known = anchors[use.name];
    // The root's resource is the outermost of every scope: where it has the anchor, that is the target.
    if (const auto root = known.find(program_->root.node->resource); root != known.end()) {
      op.edge.node = root->second;
      continue;
    }
    if (known.size() < 2) continue;  // only the first target there is
    op.kind = OpKind::kDynamicRef;
    op.dynamic_name = numbers.emplace(use.name, static_cast<std::uint32_t>(numbers.size())).first->second;
    program_->dynamic = true;
  }
  program_->scopes.resize(registry_.resources().size());
  for (const auto& [name, number] : numbers) {
    for (const auto& [resource, node] : anchors[name]) program_->scopes[resource].anchors.emplace_back(number, node);
  }
  return {};
}

// What refers to itself without looking at a part of the value can never end: $ref and allOf in a circle.
Result<void> Compiler::refuse_loops() {
  std::unordered_map<const Node*, int> state;  // 1: on the way, 2: done
  struct Frame {
    const Node* node;
    std::vector<const Node*> targets;
    std::size_t next = 0;
  };
  const auto targets = [](const Node& node) {
    std::vector<const Node*> out;
    for (const auto& op : node.ops) {
      if (op.kind == OpKind::kRef) out.push_back(op.edge.node);
      if (op.kind == OpKind::kAllOf) {
        for (const auto& branch : op.branches) out.push_back(branch.node);
      }
    }
    return out;
  };
  for (const auto& start : program_->nodes) {
    if (start.ops.empty() || state[&start] != 0) continue;
    std::vector<Frame> stack;
    stack.push_back({.node = &start, .targets = targets(start)});
    state[&start] = 1;
    while (!stack.empty()) {
      auto& frame = stack.back();
      if (frame.next == frame.targets.size()) {
        state[frame.node] = 2;
        stack.pop_back();
        continue;
      }
      const auto* target = frame.targets[frame.next++];
      auto& known = state[target];
      if (known == 1) {
        return Error(ErrorCode::kInvalidArgument,
                     fmt::format("schema: {}: a reference loop: it leads back to itself for every value", location_of(*program_, *target)))
            .at_field(location_of(*program_, *target));
      }
      if (known == 2) continue;
      known = 1;
      stack.push_back({.node = target, .targets = targets(*target)});
    }
  }
  return {};
}

// To where a chain of mere references leads. In a program with dynamic references a resource that is passed counts, so only within one.
const Node* Compiler::skip_references(const Node& owner, const Node* node) {
  // Where scopes count, all on the way are of the owner's resource: so what is known of a node's way holds for each owner that goes it.
  std::vector<const Node*> passed;
  while (node->types == kAnyType && node->values.empty() && node->ops.size() == 1 && node->ops[0].kind == OpKind::kRef && !node->object &&
         !node->array && !node->string && !node->number && !node->has_unevaluated_properties && !node->has_unevaluated_items) {
    if (program_->dynamic && (node->resource != owner.resource || node->ops[0].edge.node->resource != owner.resource)) break;
    passed.push_back(node);
    const auto known = way_ends_.find(node);
    node = known == way_ends_.end() ? node->ops[0].edge.node : known->second;
  }
  if (passed.size() > 1) {
    for (const auto* one : passed) way_ends_[one] = node;
  }
  return node;
}

void Compiler::shorten() {
  const auto finished = [&](const Node& owner, Edge& to) {
    const auto* target = skip_references(owner, to.node);
    to.fast = target->types == kAnyType && target->deep == 0 ? nullptr : target;
  };
  for (auto& node : program_->nodes) {
    each_edge(node, [&](Edge& to) { finished(node, to); });
    if (node.object) finish(*node.object);
    if (node.array) node.array->each = quick_of(node.array->has_items ? node.array->items.fast : nullptr);
  }
  finished(*program_->root.node, program_->root);
}

void Compiler::finish(ObjectPart& part) {
  const auto other = quick_of(part.has_additional ? part.additional.fast : nullptr);
  part.slots.assign(part.entries.size() + 1, {.to = other});
  for (std::size_t i = 0; i < part.entries.size(); ++i) {
    const auto& entry = part.entries[i];
    auto& quick = part.slots[i].to;
    part.slots[i].name = part.names.entry(static_cast<std::uint32_t>(i));
    if (entry.declared) quick = quick_of(entry.child.fast);
    if (entry.tracked != 0xFFFFFFFF) {
      quick.word = entry.tracked / 64;
      quick.bit = std::uint64_t{1} << (entry.tracked % 64);
    }
  }
  part.counted = part.min > 0 || part.max != UINT64_MAX;
  part.plain = part.entries.empty() && part.patterns.empty() && !part.has_additional && !part.has_names && part.dependents.empty();
  // What is true of every name or value needs no look; patterns count for additional names even so.
  const bool patterns = std::ranges::any_of(part.patterns, [](const PatternEdge& one) { return one.child.fast != nullptr; });
  part.simple = !patterns && (part.patterns.empty() || !part.has_additional || !part.additional.fast) &&
                !(part.has_names && part.property_names.fast) && part.dependents.empty();
}

Result<const Regex*> Compiler::regex(std::string_view pattern, std::string_view keyword) {
  const auto [known, added] = regexes_.emplace(std::string(pattern), nullptr);
  if (added) {
    auto compiled = Regex::compile(pattern, {.max_bytes = options_.limits.max_pattern_bytes,
                                             .max_memory = options_.limits.max_pattern_memory,
                                             .max_steps = options_.limits.max_pattern_steps});
    if (!compiled) {
      auto cause = registry_.error(*place_, keyword, fmt::format("{} in \"{}\"", compiled.error().message(), cut_text(pattern, 200)),
                                   compiled.error().code());
      if (compiled.error().position()) cause.at_position(*compiled.error().position());
      return cause;
    }
    program_->patterns.push_back(std::move(*compiled));
    known->second = program_->patterns.back().get();
  }
  return known->second;
}

}  // namespace setget::inline v0::detail::schema
