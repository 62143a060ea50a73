#include <algorithm>
#include <memory>
#include <utility>

#include "testing/trial.hpp"

namespace setget::inline v0::testing {

namespace {

using detail::Case;
using detail::Cases;
using detail::Needs;
using detail::Trial;

class ConformanceTest : public ::testing::Test {
 public:
  ConformanceTest(std::shared_ptr<const ConformanceParams> params, const Case& the_case) : params_(std::move(params)), case_(the_case) {}
  void TestBody() override {
    Trial trial(*params_);
    case_.run(trial);
  }

 private:
  std::shared_ptr<const ConformanceParams> params_;
  const Case& case_;
};

using Shared = std::shared_ptr<const ConformanceParams>;

void register_case(const Shared& params, const std::string& suite, const Case& c) {
  ::testing::RegisterTest(suite.c_str(), c.name, nullptr, nullptr, __FILE__, __LINE__,
                          [params, &c]() -> ConformanceTest* { return new ConformanceTest(params, c); });
}

bool lacks_any(const ConformanceParams& params, const Case& c) {
  return std::ranges::any_of(c.capabilities, [&](const auto capability) { return !(params.deviations.*capability).empty(); });
}

// A case of capabilities that the backend has; cases of lacking ones are replaced by those of register_deviations().
void register_cases(const Shared& params, const std::string& suite, Cases cases) {
  for (const auto& c : cases) {
    if (lacks_any(*params, c)) continue;
    if (c.needs == Needs::kReopen && !params->reopen) continue;
    if (c.needs == Needs::kShare && !params->share) continue;
    register_case(params, suite, c);
  }
}

void register_deviations(const Shared& params, const std::string& suite, Cases cases) {
  for (const auto& c : cases) {
    if (c.capabilities.empty() || lacks_any(*params, c)) register_case(params, suite, c);
  }
}

}  // namespace

void register_conformance(ConformanceParams given) {
  const auto params = std::make_shared<const ConformanceParams>(std::move(given));
  if (params->queue) {
    const auto suite = params->name + "_queue";
    for (const auto cases :
         {detail::queue_basic_cases(), detail::queue_lease_cases(), detail::queue_fifo_cases(), detail::queue_dead_letter_cases(),
          detail::queue_ledger_cases(), detail::queue_batch_cases(), detail::queue_waiting_cases()}) {
      register_cases(params, suite, cases);
    }
    register_deviations(params, suite, detail::queue_deviation_cases());
  }
  if (params->key_store) {
    const auto suite = params->name + "_key_store";
    for (const auto cases : {detail::key_store_record_cases(), detail::key_store_order_cases(), detail::key_store_expiry_cases(),
                             detail::key_store_log_cases(), detail::key_store_scan_cases(), detail::key_store_history_cases()}) {
      register_cases(params, suite, cases);
    }
    if (params->queue) {
      register_cases(params, suite, detail::key_store_fused_cases());
      register_deviations(params, suite, detail::key_store_fused_deviation_cases());
    }
    register_deviations(params, suite, detail::key_store_deviation_cases());
    register_deviations(params, suite, detail::key_store_history_deviation_cases());
  }
  if (params->archive) {
    register_cases(params, params->name + "_archive", detail::archive_cases());
    register_cases(params, params->name + "_archive", detail::archive_progress_cases());
    register_cases(params, params->name + "_archive", detail::archive_history_cases());
    register_deviations(params, params->name + "_archive", detail::archive_deviation_cases());
    register_deviations(params, params->name + "_archive", detail::archive_progress_deviation_cases());
    register_deviations(params, params->name + "_archive", detail::archive_history_deviation_cases());
  }
  if (params->schedules) register_cases(params, params->name + "_schedules", detail::schedule_cases());
}

}  // namespace setget::inline v0::testing
