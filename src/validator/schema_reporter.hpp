// Reporter: lists the violations of a document, keyword by keyword along the schema's own structure. schema_report.cpp has the way through
// it, schema_report_keywords.cpp what each keyword says, schema_report_branches.cpp references and alternatives. Private to the validator.
// One object per evaluation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "validator/schema_compiler.hpp"
#include "validator/schema_report.hpp"
#include "validator/uri_reference.hpp"

namespace setget::inline v0::detail::schema {

// A step of a path; the paths of instance and keyword are lists of them on the stack.
struct Step {
  const Step* outer = nullptr;
  std::string_view token{};
  std::size_t index = 0;
  bool is_index = false;
};

class Reporter {
 public:
  Reporter(const Eval::Program& program, Eval& eval, Findings& found)
      : program_(program), eval_(eval), tape_(eval.tape()), found_(found.list), text_(found.text) {
    found_.clear();
    text_.clear();
  }
  json_schema::Report run();

 private:
  static constexpr auto kNoParent = json_schema::Violation::kNoParent;
  struct Where {
    const Step* instance = nullptr;
    const Step* keyword = nullptr;
    std::size_t parent = kNoParent;
  };

  bool over() const noexcept { return truncated_ || eval_.halted(); }
  // A message is its parts one after another; a value of the document is cut where it is long. Returns the violation's number, kNoParent
  // where there were enough.
  struct Shown {
    std::size_t at;
  };
  // "null or string".
  struct Types {
    std::uint8_t types;
  };
  template <class... Parts>
  std::size_t add(const Node& node, const Where& where, std::string_view keyword, const Parts&... parts) {
    if (!locate(node, where, keyword)) return kNoParent;
    (append(parts), ...);
    found_.back().message = {found_.back().message.at, text_.size()};
    return found_.size() - 1;
  }
  void append(Shown value) { append_shown(text_, tape_, value.at); }
  void append(Types expected);
  void append(const ValueSet& set);
  void append(std::string_view text) { text_ += text; }
  void append(std::uint64_t number) { append_number(text_, number); }
  // Begins a violation with all but its message. False where there were enough.
  bool locate(const Node& node, const Where& where, std::string_view keyword);
  json_schema::Report report() const;
  // True if the value is valid. `keyword` is the one that led here.
  bool visit(const Edge& to, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks);
  bool visit(const Node& node, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks);
  void never(const Node& node, std::size_t at, const Where& where, std::string_view keyword);
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
  // How much of what is known of each branch a value breaks: names, and above all constants and types.
  void weigh(const Filter& filter, std::size_t at, std::vector<unsigned>& weights, unsigned scale);
  // The branches that come closest where none is possible; none of them where too many do.
  std::vector<std::size_t> closest(const Op& op, std::size_t at);
  void alternatives(const Node& node, const Op& op, std::size_t at, std::uint8_t type, const Where& where, const Marks* marks);

  const Eval::Program& program_;
  Eval& eval_;
  Tape tape_;
  bool truncated_ = false;
  std::vector<Finding>& found_;
  std::string& text_;
};

}  // namespace setget::inline v0::detail::schema
