// Eval: runs a program on a document. The verdict alone here; Reporter (schema_report.hpp) lists the violations on top of it.
// Private to the validator. Thread rule: one object per evaluation.
#pragma once

#include <cstdint>
#include <string_view>

#include "validator/document_impl.hpp"
#include "validator/schema_program.hpp"
#include "validator/scratch_bits.hpp"

namespace setget::inline v0::detail::schema {

// Why an evaluation has no verdict.
enum class Stop : std::uint8_t { kNone, kNesting, kSteps, kPattern, kInexact };

// Resources entered so far, the outermost last.
struct Scope {
  std::uint32_t resource = 0;
  const Scope* outer = nullptr;
};

// Which members or elements of a value are evaluated: bits by position, on the scratch stack.
struct Marks {
  std::size_t offset = 0;
  std::size_t count = 0;
};

class Eval {
 public:
  using Program = json_schema::Validator::Program;
  // `exactness`: of what a parser that rounds numbers has read; null where they are as good as they get.
  Eval(const Program& program, Tape tape, const Exactness* exactness)
      : Eval(program, tape, exactness, program.max_steps, program.max_nesting) {}
  // Within limits of its own.
  Eval(const Program& program, Tape tape, const Exactness* exactness, std::uint64_t steps, std::size_t nesting)
      : program_(program),
        tape_(tape),
        exactness_(exactness),
        steps_(steps),
        nesting_(nesting),
        root_{.resource = program.root_resource, .outer = nullptr} {}

  // Meaningless if stop() says so.
  bool run(std::size_t at, std::uint8_t type) { return !program_.root.fast || value(*program_.root.fast, at, type); }
  // The same where the type is right and does not say it all, and root.fast is but one thing.
  bool run_sole(std::size_t at, std::uint8_t type);
  Stop stop() const noexcept { return stop_; }

  // The parts, which Reporter uses one by one.
  bool type_holds(const Node& node, std::uint8_t type, std::size_t at);
  bool value(const Node& node, std::size_t at) { return value(node, at, kTypes.of[tag_of(tape_.words[at])]); }
  bool value(const Node& node, std::size_t at, std::uint8_t type) {
    if ((node.types & type) == 0 && !type_holds(node, type, at)) return false;
    return (node.deep & type) == 0 || deep(node, at, type);
  }
  bool edge(const Edge& to, std::size_t at) { return !to.fast || value(*to.fast, at); }
  // The same, and what it evaluated of this very value is marked.
  bool tracked_edge(const Edge& to, std::size_t at, Marks marks);
  bool in_set(const ValueSet& set, std::size_t at, std::uint8_t type);
  bool counted_length_holds(const StringPart& part, std::string_view text) noexcept;
  bool in_numbers(const ValueSet& set, const Number& number);
  bool pattern(const Regex& regex, std::string_view text);
  bool unique(std::size_t array, std::size_t* first, std::size_t* second);
  bool length_holds(const StringPart& part, std::string_view text) noexcept {
    if (part.min == 0 && part.max == UINT64_MAX) return true;
    // A code point has one to four bytes, which often says enough.
    const auto least = (text.size() + 3) / 4;
    if (text.size() < part.min || least > part.max) return false;
    return (least >= part.min && text.size() <= part.max) || counted_length_holds(part, text);
  }
  bool bound_holds(const Bound& bound, const Number& number, int sign);
  bool multiple_holds(const Bound& bound, const Number& number);
  bool format_holds(const StringPart& part, std::string_view text) {
    return spend(text.size() * part.format_weight / 16) && part.format(text);
  }
  bool content_holds(const StringPart& part, std::string_view text);
  // Which branches can match; the words are on the scratch stack.
  std::size_t candidates(const Filter& filter, std::size_t at, std::uint8_t type);
  const Node* dynamic_target(const Op& op, bool fast) const noexcept;
  const Tape& tape() const noexcept { return tape_; }
  // Few evaluations need any.
  ScratchBits& bits() {
    if (!bits_) bits_ = &scratch_of_thread();
    return *bits_;
  }
  // After the last of it, unless it throws.
  void end() {
    if (bits_) bits_->reset();
  }
  void halt(Stop why) noexcept {
    if (stop_ == Stop::kNone) stop_ = why;
    steps_ = 0;
  }
  bool halted() const noexcept { return steps_ == 0; }
  bool spend(std::uint64_t steps) noexcept {
    if (steps_ <= steps) return halt(Stop::kSteps), false;
    steps_ -= steps;
    return true;
  }
  const Scope* scope() const noexcept { return scope_; }
  void set_scope(const Scope* scope) noexcept { scope_ = scope; }
  bool is_exact() {
    if (!exactness_ || exactness_->is_exact()) return true;
    return halt(Stop::kInexact), false;
  }
  std::size_t& nesting() noexcept { return nesting_; }

 private:
  template <bool kTrack>
  bool checks(const Node& node, std::size_t at, std::uint8_t type, Marks marks);
  template <bool kTrack>
  bool body(const Node& node, std::size_t at, std::uint8_t type, Marks marks);
  bool with_unevaluated(const Node& node, std::size_t at, std::uint8_t type);
  template <bool kTrack>
  bool object(const ObjectPart& part, std::size_t at, Marks marks);
  template <bool kTrack>
  bool member(const ObjectPart& part, std::uint32_t number, std::size_t key, std::size_t ordinal, Marks marks);
  // `kFew`: no more tracked names than a word has bits.
  template <bool kFew>
  bool simple_object(const ObjectPart& part, std::size_t at);
  // What is checked beyond the type.
  bool deep(const Node& node, std::size_t at, std::uint8_t type) {
    if (node.leaf) return leaf(node, at, type);
    if (!node.record || type != kObject) return checks<false>(node, at, type, {});
    if (nesting_ == 0) return halt(Stop::kNesting), false;
    --nesting_;
    const bool valid = simple_object<true>(*node.object, at);
    ++nesting_;
    return valid;
  }
  // Bounded by its value, so the loop that leads here pays for it.
  bool leaf(const Node& node, std::size_t at, std::uint8_t type) {
    if (node.has_values) {
      for (const auto* set : node.values) {
        if (!in_set(*set, at, type)) return false;
      }
    }
    if (type == kString) return !node.string || string(*node.string, at);
    if ((type & kNumber) != 0) return !node.number || number(*node.number, at);
    return type != kArray || !node.array || flat_array(*node.array, at);
  }
  bool flat_array(const ArrayPart& part, std::size_t at);
  bool quick(const Quick& to, std::size_t at, std::uint8_t type) {
    if ((to.types & type) == 0 && !type_holds(*to.node, type, at)) return false;
    return (to.deep & type) == 0 || deep(*to.node, at, type);
  }
  template <bool kTrack>
  bool array(const ArrayPart& part, std::size_t at, Marks marks);
  bool string(const StringPart& part, std::size_t at) {
    return length_holds(part, text_at(tape_, at)) && (part.length_only || text(part, text_at(tape_, at)));
  }
  bool text(const StringPart& part, std::string_view text);
  bool number(const NumberPart& part, std::size_t at) {
    if (!part.is_range || tag_of(tape_.words[at]) != 'l') return any_number(part, at);
    const auto value = static_cast<std::int64_t>(tape_.words[at + 1]);
    return value >= part.least && value <= part.most;
  }
  bool any_number(const NumberPart& part, std::size_t at);
  template <bool kTrack>
  bool op(const Op& op, std::size_t at, std::uint8_t type, Marks marks);
  template <bool kTrack>
  bool apply(const Node* node, std::size_t at, Marks marks);
  // A branch that may fail: its marks count only if it does not.
  template <bool kTrack>
  bool attempt(const Edge& to, std::size_t at, Marks marks);
  template <bool kTrack>
  bool any_of(const Op& op, std::size_t at, std::uint8_t type, Marks marks);
  template <bool kTrack>
  bool one_of(const Op& op, std::size_t at, std::uint8_t type, Marks marks);
  template <class Look>
  void each_candidate(const Op& op, std::size_t at, std::uint8_t type, Look&& look);
  std::uint64_t filter_one(const Filter& filter, std::size_t at, std::uint8_t type, std::uint64_t mask);
  void filter_many(const Filter& filter, std::size_t at, std::uint8_t type, std::size_t mask);

  const Program& program_;
  Tape tape_;
  const Exactness* exactness_;
  ScratchBits* bits_ = nullptr;
  std::uint64_t steps_;
  std::size_t nesting_;
  Scope root_{};
  const Scope* scope_ = &root_;
  Stop stop_ = Stop::kNone;
};

extern template bool Eval::checks<false>(const Node& node, std::size_t at, std::uint8_t type, Marks marks);
extern template bool Eval::simple_object<true>(const ObjectPart& part, std::size_t at);

// Equal as JSON Schema has it: numbers by value, objects whatever their order. `steps` grows by what it took.
bool equal_values(const Tape& a, std::size_t i, const Tape& b, std::size_t j, std::uint64_t& steps);
// What there is in a value that was hashed.
struct Hashed {
  bool fractions = false;
  std::uint64_t bytes = 0;  // of texts
};
// Equal for equal values. Adds to `what`.
std::uint64_t hash_value(const Tape& tape, std::size_t at, Hashed& what);
// Code points of UTF-8.
std::size_t code_points(std::string_view text) noexcept;
bool is_base64(std::string_view text, std::string* decoded);

}  // namespace setget::inline v0::detail::schema
