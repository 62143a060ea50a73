// Reporter: lists the violations of a document, keyword by keyword along the schema's own structure. schema_report.cpp has the way through
// it, schema_report_keywords.cpp what each keyword says, schema_report_branches.cpp references and alternatives. Private to the validator.
// One object per evaluation.
#pragma once

#include <string_view>

#include "validator/schema_message.hpp"
#include "validator/schema_report.hpp"

namespace setget::inline v0::detail::schema {

// A step of a path; the paths of instance and keyword are lists of them on the stack. What a violation stands under goes into the ledger,
// once.
struct Step {
  const Step* outer = nullptr;
  std::string_view keyword{};  // lives as long as the program, and has nothing to escape
  StepKind kind = StepKind::kNothing;
  std::string_view token{};
  std::size_t index = 0;
  mutable std::size_t place = kNoPlace;  // in the ledger

  // Of the instance.
  static Step of_index(const Step* outer, std::size_t index) noexcept { return {outer, {}, StepKind::kIndex, {}, index}; }
  static Step of_name(const Step* outer, std::string_view token) noexcept { return {outer, {}, StepKind::kName, token}; }
  // Of the schema, with what comes next there: the number of a branch, a name that lives as long as the program.
  static Step of_keyword(const Step* outer, std::string_view keyword) noexcept { return {outer, keyword}; }
  static Step of_keyword(const Step* outer, std::string_view keyword, std::size_t index) noexcept {
    return {outer, keyword, StepKind::kIndex, {}, index};
  }
  static Step of_keyword(const Step* outer, std::string_view keyword, std::string_view lasting) noexcept {
    return {outer, keyword, StepKind::kLasting, lasting};
  }
};

class Reporter {
 public:
  Reporter(const Eval::Program& program, Eval& eval, Ledger& ledger) : program_(program), eval_(eval), tape_(eval.tape()), ledger_(ledger) {
    ledger_.clear();
  }
  Found run(std::size_t at);

 private:
  static constexpr auto kNoParent = json_schema::Violation::kNoParent;
  struct Where {
    const Step* instance = nullptr;
    const Step* keyword = nullptr;
    std::size_t parent = kNoParent;
  };

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
  std::size_t add(const Node& node, const Where& where, std::string_view keyword, const Parts&... parts) {
    if (count_ >= program_.max_errors) {
      truncated_ = true;
      return kNoParent;
    }
    return put(node, where, keyword, keep(parts)...);
  }
  template <class... Kept>
  std::size_t put(const Node& node, const Where& where, std::string_view keyword, const Kept&... parts) {
    const auto instance = keep(where.instance);
    const auto location = keep(where.keyword);
    const auto place = ledger_.take((Ledger::kWordsOf<Finding> + ... + Ledger::kWordsOf<Kept>));
    ledger_.make<Finding>(place, std::size_t{0}, where.parent, &node, keyword, instance, location, &write_message<Kept...>);
    auto part = place + Ledger::kWordsOf<Finding>;
    ((ledger_.make<Kept>(part, parts), part += Ledger::kWordsOf<Kept>), ...);
    // The one before it leads to it: Finding::next.
    if (count_ == 0) {
      first_ = place;
    } else {
      *ledger_.at(last_) = place;
    }
    last_ = place;
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
    if (value.at != shown_at_) {
      shown_ = keep_value(ledger_, tape_, value.at);
      shown_at_ = value.at;
    }
    return shown_;
  }
  // Whether the type alone says that a value is valid, as it does of most: then no path to it is needed.
  bool passes(const Edge& to, std::size_t at) const noexcept {
    if (!to.fast) return true;
    const auto type = type_at(tape_, at);
    return (to.node->types & type) != 0 && (to.node->deep & type) == 0;
  }
  void visit(const Edge& to, std::size_t at, const Where& where, const Marks* marks) {
    if (to.fast) visit(*to.node, at, where, marks);
  }
  void visit(const Node& node, std::size_t at, const Where& where, const Marks* marks);
  void never(const Node& node, std::size_t at, const Where& where);
  void keywords(const Node& node, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks);
  void values(const Node& node, const ValueSet& set, std::size_t at, const Where& where);
  void string(const Node& node, std::size_t at, const Where& where);
  void number(const Node& node, std::size_t at, const Where& where);
  void object(const Node& node, std::size_t at, const Where& where, const Marks* marks);
  // True if a keyword applied to it.
  bool member(const Node& node, std::uint32_t number, std::size_t key, std::string_view name, const Where& where);
  void array(const Node& node, std::size_t at, const Where& where, const Marks* marks);
  void rest(const Node& node, std::size_t at, std::uint8_t type, const Where& where, const Marks& marks);
  bool attempt(const Edge& to, std::size_t at, const Marks* marks) {
    return marks ? eval_.tracked_edge(to, at, *marks) : eval_.edge(to, at);
  }
  void op(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks);
  // How much of what is known of each branch a value breaks: names, and above all constants and types. Weights are words of the scratch
  // stack.
  void weigh(const Filter& filter, std::size_t at, std::size_t weights, std::size_t count, unsigned scale);
  // The branches that come closest where none is possible, as bits; none of them where too many do.
  void closest(const Op& op, std::size_t at, std::size_t bits);
  void alternatives(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks);

  const Eval::Program& program_;
  Eval& eval_;
  Tape tape_;
  bool truncated_ = false;
  Ledger& ledger_;
  std::size_t count_ = 0;
  std::size_t first_ = 0;
  std::size_t last_ = 0;
  // The value that was shown last.
  std::size_t shown_at_ = 0;
  KeptValue shown_{};
};

}  // namespace setget::inline v0::detail::schema
