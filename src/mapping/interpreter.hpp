// Evaluates a Program. A type error is noted and everything then unwinds with null, because in mappings it is common; a limit that is
// exceeded leaves by throwing Failure. Thread rule: one thread; the program is shared.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mapping/arena.hpp"
#include "mapping/node.hpp"
#include "mapping/number.hpp"
#include "mapping/program.hpp"

namespace setget::inline v0::jmespath::detail {

// What one evaluation may still spend: its own limits, and what is left of a budget that it shares with others.
class Meter {
 public:
  Meter(const Options& options, Arena& arena)
      : granted_(options.max_steps),
        steps_(options.max_steps),
        arena_(&arena),
        most_bytes_(arena.used_after(options.max_result_bytes)),
        options_(&options) {
    if (!arena.budget) return;
    granted_ = steps_ = std::min(steps_, arena.budget->steps);
    most_bytes_ = std::min(most_bytes_, arena.budget->most_used);
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;
  ~Meter() {
    if (arena_->budget) arena_->budget->steps -= granted_ - steps_;
  }
  void spend(std::uint64_t steps) {
    if (steps > steps_) out_of_steps();
    steps_ -= steps;
  }
  // Before so much text is looked at. What is short is part of the step that looks at it.
  void spend_text(std::size_t bytes) {
    if (bytes >= kTextStep) spend(bytes / kTextStep);
  }
  // The number that the value is. A number of the document is its digits, which everyone who asks reads anew.
  std::optional<Number> number(const Value& value) {
    if (Access::kind(value) == Access::Kind::kReadNumber) spend_text(Access::size(value));
    return number_of(value);
  }
  // Before so many bytes are made.
  void make(std::size_t bytes) {
    if (bytes > most_bytes_ || arena_->used() > most_bytes_ - bytes) out_of_bytes();
  }

  std::size_t bytes_left() const noexcept { return most_bytes_ - std::min(most_bytes_, arena_->used()); }

 private:
  [[noreturn]] void out_of_steps() const;
  [[noreturn]] void out_of_bytes() const;
  std::uint64_t granted_;
  std::uint64_t steps_;  // of those that are left
  Arena* arena_;
  std::size_t most_bytes_;  // that the arena may have used
  const Options* options_;
};

// Deep equality, as JMESPath has it. `meter`: nullptr, or who pays.
bool equal(const Value& a, const Value& b, Meter* meter);

class Interpreter {
 public:
  Interpreter(const Program& program, Arena& arena)
      : program_(&program), arena_(&arena), meter_(program.options, arena), variables_(arena.take<Value>(program.variables)) {}
  // Null where it failed.
  Value run(Value input) { return evaluate(program_->root, input); }
  const std::optional<Error>& failure() const noexcept { return failure_; }

 private:
  using Arguments = std::span<const Value>;

  Value evaluate(std::uint32_t index, Value current);
  Value element(Value list, std::int64_t index) const;
  Value slice(const Slice& slice, Value list);
  Value flatten(Value list);
  Value project(const Part& part, Value list, bool object);
  Value filter(const Part& part, Value list);
  Value compare(const Part& part, Value current);
  Value list(const Part& part, Value current);
  Value hash(const Part& part, Value current);
  Value let(const Part& part, Value current);
  Value call(const Part& part, Value current);

  // functions.cpp; `part` is the call.
  Value apply(const Part& part, Arguments arguments);
  Value aggregate(const Part& part, Value list);
  Value extreme(const Part& part, Value list, bool greatest, bool by);
  Value round(const Part& part, Value argument);
  Value absolute(const Part& part, Value argument);
  Value ends(const Part& part, Arguments arguments);
  Value contains(const Part& part, Arguments arguments);
  Value join(const Part& part, Arguments arguments);
  Value keys(const Part& part, Value argument);
  Value values(const Part& part, Value argument);
  Value length(const Part& part, Value argument);
  Value map(const Part& part, Value list);
  Value merge(const Part& part, Arguments arguments);
  Value reverse(const Part& part, Value argument);
  Value sort(const Part& part, Value list, bool by);
  Value to_number(Value argument);
  Value to_text(Value argument);

  struct Key {
    bool text = false;
    Number number{};
    std::string_view string{};
    Value value{};
    std::uint32_t order = 0;
  };
  static bool less(const Key& a, const Key& b);
  // Bytes of text that tell one from the other at most.
  static std::size_t shared_text(const Key& a, const Key& b) noexcept { return std::min(a.string.size(), b.string.size()); }
  // What an element is sorted by: itself, or what the reference gives for it. All of one type, number or string.
  Key key_of(const Part& part, Value element, bool by);
  // False: it failed.
  bool check_key(const Part& part, const Key& key, const Key& first, std::uint32_t index);
  std::uint32_t reference_of(const Part& part, std::uint32_t argument) const { return program_->children[part.first + argument]; }

  // The first failure counts. Both give null.
  Value wrong_type(const Part& part, std::size_t argument, std::string_view wanted, Value given);
  Value fail(const Part& part, std::string_view code, std::string message);
  bool failed() const noexcept { return failure_.has_value(); }

  template <class T>
  T* make(std::size_t count) {
    meter_.make(count * sizeof(T));
    return arena_->take<T>(count);
  }
  void push(Value value) {
    // Where they are collected counts as made, or a projection could collect without end.
    if ((arena_->stack.size() & 1023) == 1023) meter_.make(arena_->stack.size() * sizeof(Value));
    arena_->stack.push_back(value);
  }
  // What was pushed since, as an array.
  Value popped(std::size_t since);

  const Program* program_;
  Arena* arena_;
  Meter meter_;
  Value* variables_;
  std::optional<Error> failure_;
};

}  // namespace setget::inline v0::jmespath::detail
