// The violations of a document, one by one. Private to the validator.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "validator/document_impl.hpp"
#include "validator/ledger.hpp"
#include "validator/schema_eval.hpp"

namespace setget::inline v0::detail::schema {

// What stands in a ledger.
struct Found {
  std::size_t first = 0;  // place of the first violation
  std::size_t count = 0;
  bool truncated = false;
};

// Of the value at a place of the tape. Meaningless if eval.stop() says so. What the ledger held is gone.
Found list_violations(const json_schema::Validator::Program& program, Eval& eval, Ledger& ledger, std::size_t at = 1);
// Their texts at once, as write_texts() has them; returns how many there are.
std::size_t write_violations(const json_schema::Validator::Program& program, Eval& eval, Ledger& to);
// How many those are. The same code goes through the document, so no more and no fewer are listed later on; within the program's limits for
// what is counted.
struct Counted {
  std::size_t count = 0;
  bool truncated = false;
  Stop stop = Stop::kNone;  // another one: it is to be listed at once
};
// `type`: of the document, whose numbers are exact.
Counted count_violations(const json_schema::Validator::Program& program, Tape tape, std::uint8_t type);

// A list of Violation and behind it their texts.
void write_texts(const json_schema::Validator::Program& program, const Ledger& kept, std::size_t first, std::size_t count, Ledger& to);

// Report::reasons() of the violations that are wanted.
std::vector<Reason> reasons_of(const json_schema::Violations& violations, std::string_view prefix, bool with_keywords,
                               const std::function<bool(const json_schema::Violation&)>& wanted = {});

}  // namespace setget::inline v0::detail::schema

struct setget::json_schema::Violations::State {
  // `copied` is written before it is read, and zeros would be most of what a new report takes.
  State() noexcept {}  // NOLINT(modernize-use-equals-default,cppcoreguidelines-pro-type-member-init)

  std::shared_ptr<const Validator::Program> program{};  // the findings point into it
  // Either a document whose violations were only counted, in `copied`, or findings, in `ledger`.
  setget::detail::schema::SmallDocument counted{};
  std::uint64_t copied[setget::detail::schema::SmallDocument::kMostWords];
  setget::detail::schema::Ledger ledger{};
  std::size_t first = 0;
  // The texts, written once by whichever thread reads them first.
  enum class Writing : int { kNot, kByOne, kAwaited, kDone };  // kAwaited: by one, and others wait for it
  std::atomic<Writing> writing{Writing::kNot};
  setget::detail::schema::Ledger texts{};

  void copy(const setget::detail::schema::SmallDocument& document) noexcept {
    using setget::detail::schema::SmallDocument;
    counted = document;
    if (document.count == SmallDocument::kTinyWords) {
      std::memcpy(copied, document.words, SmallDocument::kTinyWords * sizeof(std::uint64_t));
    } else {
      std::memcpy(copied, document.words, document.count * sizeof(std::uint64_t));
    }
    counted.words = copied;
  }
};

namespace setget::inline v0::json_schema {

struct ReportWriter {
  using Found = detail::schema::Found;
  using Counted = detail::schema::Counted;
  using Ledger = detail::schema::Ledger;
  using SmallDocument = detail::schema::SmallDocument;
  using SharedProgram = std::shared_ptr<const Validator::Program>;
  // Not valid, and lists nothing.
  static void clear(Report& report) noexcept;
  // Empties a report; what is found next goes into this ledger.
  static Ledger& begin(Report& report);
  // What was found there. The program is kept only where something was.
  static void end(Report& report, const Found& found, const SharedProgram& program);
  // What was counted: the report, which has been cleared, keeps the document to list it.
  static void end(Report& report, Counted found, const SharedProgram& program, const SmallDocument& document);
  static Report copy(const Found& found, const SharedProgram& program, const Ledger& ledger);

 private:
  static Violations::State& state_of(Report& report, const SharedProgram& program);
};

inline void ReportWriter::clear(Report& report) noexcept {
  report.valid = false;
  report.truncated = false;
  report.violations.count_ = 0;
}

inline ReportWriter::Ledger& ReportWriter::begin(Report& report) {
  clear(report);
  auto& violations = report.violations;
  if (!violations.state_) violations.state_ = std::make_unique<Violations::State>();
  return violations.state_->ledger;
}

inline Violations::State& ReportWriter::state_of(Report& report, const SharedProgram& program) {
  auto& violations = report.violations;
  if (!violations.state_) violations.state_ = std::make_unique<Violations::State>();
  auto& state = *violations.state_;
  if (state.program != program) state.program = program;
  state.writing.store(Violations::State::Writing::kNot, std::memory_order_relaxed);
  return state;
}

inline void ReportWriter::end(Report& report, const Found& found, const SharedProgram& program) {
  report.valid = found.count == 0 && !found.truncated;
  report.truncated = found.truncated;
  if (found.count == 0) return;
  auto& state = state_of(report, program);
  state.counted.words = nullptr;
  state.first = found.first;
  report.violations.count_ = found.count;
}

inline void ReportWriter::end(Report& report, Counted found, const SharedProgram& program, const SmallDocument& document) {
  report.valid = found.count == 0;
  if (found.count == 0) return;
  report.truncated = found.truncated;
  auto& state = state_of(report, program);
  state.copy(document);
  report.violations.count_ = found.count;
}

}  // namespace setget::inline v0::json_schema
