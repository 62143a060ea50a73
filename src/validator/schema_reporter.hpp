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
  Reporter(const Eval::Program& program, Eval& eval) : program_(program), eval_(eval), tape_(eval.tape()) {}
  json_schema::Report run();

 private:
  static constexpr auto kNoParent = json_schema::Violation::kNoParent;
  struct Where {
    const Step* instance = nullptr;
    const Step* keyword = nullptr;
    std::size_t parent = kNoParent;
  };

  bool over() const noexcept { return report_.truncated || eval_.halted(); }
  std::size_t add(const Node& node, const Where& where, std::string_view keyword, std::string message);
  // Messages: their parts one after another; a value of the document is cut where it is long.
  struct Shown {
    std::size_t at;
  };
  template <class... Parts>
  std::string said(const Parts&... parts) const {
    std::string out;
    out.reserve(96);
    (append(out, parts), ...);
    return out;
  }
  void append(std::string& out, Shown value) const { append_shown(out, tape_, value.at); }
  static void append(std::string& out, std::string_view text) { out += text; }
  static void append(std::string& out, std::uint64_t number) { append_number(out, number); }
  // True if the value is valid. `keyword` is the one that led here.
  bool visit(const Edge& to, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks);
  bool visit(const Node& node, std::size_t at, const Where& where, std::string_view keyword, const Marks* marks);
  std::string never_message(std::size_t at, const Where& where, std::string_view keyword) const;
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
  json_schema::Report report_;
};

}  // namespace setget::inline v0::detail::schema
