// The violations of a document, one by one. Private to the validator.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

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

// A list of Violation and behind it their texts.
void write_texts(const json_schema::Validator::Program& program, const Ledger& kept, std::size_t first, std::size_t count, Ledger& to);

// Report::reasons() of the violations that are wanted.
std::vector<Reason> reasons_of(const json_schema::Violations& violations, std::string_view prefix, bool with_keywords,
                               const std::function<bool(const json_schema::Violation&)>& wanted = {});

}  // namespace setget::inline v0::detail::schema

struct setget::json_schema::Violations::State {
  std::shared_ptr<const Validator::Program> program{};  // the findings point into it
  setget::detail::schema::Ledger ledger{};
  std::size_t first = 0;
  // The texts, written once by whichever thread reads them first.
  std::mutex writing{};
  std::atomic<bool> is_written{false};
  setget::detail::schema::Ledger texts{};
};

namespace setget::inline v0::json_schema {

struct ReportWriter {
  using Found = detail::schema::Found;
  using Ledger = detail::schema::Ledger;
  // Empties a report; what is found next goes into this ledger.
  static Ledger& begin(Report& report);
  // What was found there. The program is kept only where something was.
  static void end(Report& report, const Found& found, const std::shared_ptr<const Validator::Program>& program);
  static Report copy(const Found& found, const std::shared_ptr<const Validator::Program>& program, const Ledger& ledger);
};

inline ReportWriter::Ledger& ReportWriter::begin(Report& report) {
  report.valid = false;
  report.truncated = false;
  auto& violations = report.violations;
  violations.count_ = 0;
  if (!violations.state_) violations.state_ = std::make_unique<Violations::State>();
  violations.state_->is_written.store(false, std::memory_order_relaxed);
  return violations.state_->ledger;
}

inline void ReportWriter::end(Report& report, const Found& found, const std::shared_ptr<const Validator::Program>& program) {
  report.valid = found.count == 0 && !found.truncated;
  report.truncated = found.truncated;
  auto& violations = report.violations;
  if (found.count == 0) return;
  auto& state = *violations.state_;
  if (state.program != program) state.program = program;
  state.first = found.first;
  violations.count_ = found.count;
}

}  // namespace setget::inline v0::json_schema
