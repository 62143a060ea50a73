// Reporter: lists the violations of a document, keyword by keyword along the schema's own structure. schema_report.cpp has the way through
// it, schema_report_keywords.cpp what each keyword says, schema_report_branches.cpp references and alternatives. Private to the validator.
// One object per evaluation.
#pragma once

#include <string_view>

#include "core/cut_text.hpp"
#include "validator/schema_compiler.hpp"
#include "validator/schema_message.hpp"
#include "validator/schema_report.hpp"

namespace setget::inline v0::detail::schema {

// What becomes of the violations that are found.
enum class Sink : std::uint8_t {
  kCount,   // there is a number, and nothing else
  kLedger,  // they are kept until somebody reads their texts
  kTexts    // their texts are written
};

// A step of a path; the paths of instance and keyword are lists of them on the stack. What a violation stands under goes into the ledger,
// once.
struct PathStep {
  const PathStep* outer = nullptr;
  std::string_view keyword{};  // lives as long as the program, and has nothing to escape
  StepKind kind = StepKind::kNothing;
  std::string_view token{};
  std::size_t index = 0;
  mutable std::size_t place = kNoPlace;  // in the ledger

  // Of the instance.
  static PathStep of_index(const PathStep* outer, std::size_t index) noexcept { return {outer, {}, StepKind::kIndex, {}, index}; }
  static PathStep of_name(const PathStep* outer, std::string_view token) noexcept { return {outer, {}, StepKind::kName, token}; }
  // Of the schema, with what comes next there: the number of a branch, a name that lives as long as the program.
  static PathStep of_keyword(const PathStep* outer, std::string_view keyword) noexcept { return {outer, keyword}; }
  static PathStep of_keyword(const PathStep* outer, std::string_view keyword, std::size_t index) noexcept {
    return {outer, keyword, StepKind::kIndex, {}, index};
  }
  static PathStep of_keyword(const PathStep* outer, std::string_view keyword, std::string_view lasting) noexcept {
    return {outer, keyword, StepKind::kLasting, lasting};
  }
};
// Where a violation stands.
struct PathPlace {
  const PathStep* instance = nullptr;
  const PathStep* keyword = nullptr;
  std::size_t parent = json_schema::Violation::kNoParent;
};

// All texts of a violation but its message, which is to be written behind them.
Spans& begin_violation(Texts& to, const Eval::Program& program, const Node& node, std::string_view keyword, const PathPlace& where);

// The same where violations are only counted: nothing.
struct NoStep {
  static NoStep of_index(const NoStep*, std::size_t) noexcept { return {}; }
  static NoStep of_name(const NoStep*, std::string_view) noexcept { return {}; }
  template <class... Next>
  static NoStep of_keyword(const NoStep*, std::string_view, const Next&...) noexcept {
    return {};
  }
};
struct NoPlace {
  NoPlace() = default;
  NoPlace(const NoStep*, const NoStep*, std::size_t) noexcept {}
  // NOLINTBEGIN(readability-identifier-naming): they stand for the fields of those names.
  static constexpr const NoStep* instance = nullptr;
  static constexpr const NoStep* keyword = nullptr;
  static constexpr std::size_t parent = json_schema::Violation::kNoParent;
  // NOLINTEND(readability-identifier-naming)
};

// What goes through a document is the same code for all sinks, so what was counted is what is listed.
template <Sink kSink>
class Reporter {
 public:
  using To = std::conditional_t<kSink == Sink::kCount, std::nullptr_t, std::conditional_t<kSink == Sink::kTexts, Texts*, Ledger*>>;
  Reporter(const Eval::Program& program, Eval& eval, To to) : program_(program), eval_(eval), tape_(eval.tape()), to_(to) {}
  void run(std::size_t at) {
    if (program_.root.fast) visit(program_.root, at, {}, nullptr);
  }
  // The same of the document, which is small and of this type; often its root's schema is but one thing.
  void run(std::uint8_t type) {
    const auto& root = program_.root;
    const bool sole = program_.sole != Sole::kNone && root.fast == root.node && (program_.root_types & type) != 0;
    sole && (program_.root_deep & type) != 0 ? run_sole(type) : run(std::size_t{1});
  }
  Found found() const noexcept {
    if constexpr (kSink == Sink::kLedger) return {.first = listed_.first, .count = count_, .truncated = truncated_};
    return {.count = count_, .truncated = truncated_};
  }
  Counted counted() const noexcept { return {.count = count_, .truncated = truncated_, .stop = eval_.stop()}; }

 private:
  static constexpr bool kCounts = kSink == Sink::kCount;
  static constexpr auto kNoParent = json_schema::Violation::kNoParent;
  using Step = std::conditional_t<kCounts, NoStep, PathStep>;
  using Where = std::conditional_t<kCounts, NoPlace, const PathPlace&>;

  bool over() const noexcept { return truncated_ || eval_.halted(); }
  // A value of the document, cut where it is long.
  struct Shown {
    std::size_t at;
  };
  // A text that lives as long as the program.
  struct Lasting {
    std::string_view text;
  };
  // "a number"; "null or string".
  struct TypeName {
    std::uint8_t type;
  };
  struct Types {
    std::uint8_t types;
  };
  // The name that the innermost step of the instance's path is.
  struct Name {
    const Step* step;
  };
  // A message is its parts one after another. Returns the violation's number, kNoParent where there were enough.
  template <class... Parts>
  std::size_t add(const Node& node, Where where, std::string_view keyword, const Parts&... parts) {
    if (count_ >= program_.max_errors) {
      truncated_ = true;
      return kNoParent;
    }
    if constexpr (kCounts) {
      return count_++;
    } else if constexpr (kSink == Sink::kTexts) {
      auto& spans = begin_violation(*to_, program_, node, keyword, where);
      (write(parts), ...);
      spans.message.end = to_->text.size();
      return count_++;
    } else {
      return put(node, where, keyword, keep(parts)...);
    }
  }
  template <class... Kept>
  std::size_t put(const Node& node, Where where, std::string_view keyword, const Kept&... parts) {
    const auto instance = keep(where.instance);
    const auto location = keep(where.keyword);
    Ledger& ledger = *to_;
    const auto place = ledger.take((Ledger::kWordsOf<Finding> + ... + Ledger::kWordsOf<Kept>));
    ledger.make<Finding>(place, std::size_t{0}, where.parent, &node, keyword, instance, location, &write_message<Kept...>);
    auto part = place + Ledger::kWordsOf<Finding>;
    ((ledger.make<Kept>(part, parts), part += Ledger::kWordsOf<Kept>), ...);
    // The one before it leads to it: Finding::next.
    if (count_ == 0) {
      listed_.first = place;
    } else {
      *ledger.at(listed_.last) = place;
    }
    listed_.last = place;
    return count_++;
  }
  std::size_t keep(const Step* step) { return !step ? kNoPlace : (step->place != kNoPlace ? step->place : save(*step)); }
  std::size_t save(const Step& step);
  template <std::size_t N>
  static KeptLiteral<N - 1> keep(const char (&text)[N]) {
    return {text};
  }
  static KeptText keep(Lasting text) { return {text.text.data(), text.text.size()}; }
  static KeptNumber keep(std::uint64_t number) { return {number}; }
  static KeptTypeName keep(TypeName type) { return {type.type}; }
  static KeptTypes keep(Types types) { return {types.types}; }
  static KeptSet keep(const ValueSet& set) { return {&set}; }
  KeptName keep(Name name) { return {keep(name.step)}; }
  KeptValue keep(Shown value) {
    // Often several violations show the same.
    if (value.at != listed_.shown_at) {
      listed_.shown = keep_value(*to_, tape_, value.at);
      listed_.shown_at = value.at;
    }
    return listed_.shown;
  }
  template <std::size_t N>
  void write(const char (&text)[N]) {
    to_->text += text;
  }
  void write(Shown value) { append_shown(to_->text, tape_, value.at, kMostShown); }
  void write(Name name) { to_->text += cut_text(name.step->token, 100); }
  template <class Part>
  void write(const Part& part) {
    write_part(to_->text, keep(part));
  }
  // Whether the type alone says that a value is valid, as it does of most: then no path to it is needed.
  bool passes(const Edge& to, std::size_t at) const noexcept {
    if (!to.fast) return true;
    const auto type = type_at(tape_, at);
    return (to.node->types & type) != 0 && (to.node->deep & type) == 0;
  }
  void visit(const Edge& to, std::size_t at, Where where, const Marks* marks) {
    if (to.fast) visit(*to.node, at, where, marks);
  }
  // Of most values the type says it all.
  void visit(const Node& node, std::size_t at, Where where, const Marks* marks) {
    if (over()) return;
    const auto type = type_at(tape_, at);
    if ((node.types & type) == 0) mistyped(node, at, type, where);
    // Where the type is wrong the keywords for the right one have nothing to say.
    if ((node.deep & type) != 0) inside(node, at, type, where, marks);
  }
  // Of a root whose type is right and does not say it all, and which is not fused.
  void run_sole(std::uint8_t type);
  void mistyped(const Node& node, std::size_t at, std::uint8_t type, Where where);
  void inside(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks);
  // Where it matters in which resources the evaluation is, or what of the value has been evaluated.
  void within_scope(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks);
  void never(const Node& node, std::size_t at, Where where);
  void keywords(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks* marks);
  void values(const Node& node, const ValueSet& set, std::size_t at, Where where);
  void string(const Node& node, std::size_t at, Where where);
  void number(const Node& node, std::size_t at, Where where);
  void object(const Node& node, std::size_t at, Where where, const Marks* marks);
  // What there is to count in parts that are lean.
  void count_members(const Node& node, std::size_t at, std::size_t end);
  void count_items(const Node& each, std::size_t at);
  // True if a keyword applied to it.
  bool member(const Node& node, std::uint32_t number, std::size_t key, std::string_view name, Where where);
  void array(const Node& node, std::size_t at, Where where, const Marks* marks);
  void rest(const Node& node, std::size_t at, std::uint8_t type, Where where, const Marks& marks);
  bool attempt(const Edge& to, std::size_t at, const Marks* marks) {
    return marks ? eval_.tracked_edge(to, at, *marks) : eval_.edge(to, at);
  }
  void op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where, const Marks* marks);
  // How much of what is known of each branch a value breaks: names, and above all constants and types. Weights are words of the scratch
  // stack.
  void weigh(const Filter& filter, std::size_t at, std::size_t weights, std::size_t count, unsigned scale);
  // The branches that come closest where none is possible, as bits; none of them where too many do.
  void closest(const Op& op, std::size_t at, std::size_t bits);
  void alternatives(const Node& node, const Op& op, std::size_t at, std::uint8_t type, Where where, const Marks* marks);

  // What a ledger is filled with.
  struct Listed {
    std::size_t first = 0;
    std::size_t last = 0;
    // The value that was shown last.
    std::size_t shown_at = 0;
    KeptValue shown{};
  };

  const Eval::Program& program_;
  Eval& eval_;
  Tape tape_;
  std::size_t count_ = 0;
  bool truncated_ = false;
  To to_;
  std::conditional_t<kSink == Sink::kLedger, Listed, std::nullptr_t> listed_{};
};

}  // namespace setget::inline v0::detail::schema
