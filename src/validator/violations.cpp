// Violations: what a report keeps, and its texts.
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "validator/schema_report.hpp"

namespace setget::inline v0::json_schema {

namespace {

using State = Violations::State;
using Writing = State::Writing;

// Lists what has been counted.
void write_counted(State& state, std::size_t count) {
  const auto& program = *state.program;
  detail::schema::Eval eval(program, state.counted.tape(), nullptr);
  try {
    // It can only be a pattern that found no memory.
    if (detail::schema::write_violations(program, eval, state.texts) != count) throw std::bad_alloc();
    eval.end();
  } catch (...) {
    detail::schema::scratch_of_thread().reset();
    throw;
  }
}

// Unless another thread has written meanwhile.
void write(State& state, std::size_t count) {
  const auto leave = [&](Writing as) {
    if (state.writing.exchange(as, std::memory_order_acq_rel) == Writing::kAwaited) state.writing.notify_all();
  };
  auto writing = Writing::kNot;
  while (!state.writing.compare_exchange_weak(writing, Writing::kByOne, std::memory_order_acquire)) {
    if (writing == Writing::kDone) return;
    if (writing == Writing::kByOne) state.writing.compare_exchange_strong(writing, Writing::kAwaited, std::memory_order_acquire);
    state.writing.wait(Writing::kAwaited, std::memory_order_acquire);
    writing = Writing::kNot;
  }
  try {
    if (state.counted.words) {
      write_counted(state, count);
    } else {
      detail::schema::write_texts(*state.program, state.ledger, state.first, count, state.texts);
    }
  } catch (...) {
    leave(Writing::kNot);
    throw;
  }
  leave(Writing::kDone);
}

}  // namespace

Violations::Violations() noexcept = default;
Violations::~Violations() = default;

Violations::Violations(const Violations& other) {
  if (other.count_ == 0) return;
  state_ = std::make_unique<State>();
  state_->program = other.state_->program;
  if (other.state_->counted.words) {
    state_->copy(other.state_->counted);
  } else {
    state_->ledger = other.state_->ledger;
    state_->first = other.state_->first;
  }
  count_ = other.count_;
}
Violations& Violations::operator=(const Violations& other) {
  if (this != &other) *this = Violations(other);
  return *this;
}
Violations::Violations(Violations&& other) noexcept : state_(std::move(other.state_)), count_(std::exchange(other.count_, 0)) {}
Violations& Violations::operator=(Violations&& other) noexcept {
  state_ = std::move(other.state_);
  count_ = std::exchange(other.count_, 0);
  return *this;
}

const Violation* Violations::written() const {
  if (count_ == 0) return nullptr;
  auto& state = *state_;
  if (state.writing.load(std::memory_order_acquire) != Writing::kDone) write(state, count_);
  return &state.texts.read<Violation>(0);
}

const Violation& Violations::at(std::size_t index) const {
  if (index >= count_) throw std::out_of_range("setget: a report has no such violation");
  return begin()[index];
}

Report ReportWriter::copy(const Found& found, const SharedProgram& program, const Ledger& ledger) {
  Report report;
  if (found.count > 0) {
    report.violations.state_ = std::make_unique<Violations::State>();
    report.violations.state_->ledger = ledger;
  }
  end(report, found, program);
  return report;
}

}  // namespace setget::inline v0::json_schema
