// Account and flow as labels: only what is listed, everything else together, and nothing at all without a list.
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "support.hpp"

namespace {

using namespace setget_test;

// What was added to counters, by "name{label=value,…}".
class Recorder final : public Metrics {
 public:
  void add(std::string_view counter, double amount, MetricLabels labels) noexcept override {
    std::string series(counter);
    series += '{';
    for (const auto& label : labels) {
      if (series.back() != '{') series += ',';
      series.append(label.name).append("=").append(label.value);
    }
    series += '}';
    const std::lock_guard lock(mutex_);
    sums_[series] += amount;
    ++calls_;
  }
  void set(std::string_view, double, MetricLabels) noexcept override {}
  void observe(std::string_view, double, MetricLabels) noexcept override {}

  double sum(const std::string& series) const {
    const std::lock_guard lock(mutex_);
    const auto found = sums_.find(series);
    return found == sums_.end() ? 0 : found->second;
  }
  std::map<std::string, double> of(const std::string& counter) const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, double> found;
    for (const auto& [series, sum] : sums_) {
      if (series.starts_with(counter + "{")) found.emplace(series, sum);
    }
    return found;
  }
  std::size_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, double> sums_;
  std::size_t calls_ = 0;
};

SetRequest of_flow(const std::string& id, std::string account, std::string flow) {
  auto set = request(id, {"key/" + id});
  set.account = std::move(account);
  set.flow = std::move(flow);
  return set;
}

const std::string kAccepted = "setget_ingress_accepted_total";
const std::string kOutcomes = "setget_worker_outcomes_total";

struct Counted {
  World world;
  std::shared_ptr<Recorder> metrics = std::make_shared<Recorder>();
  std::unique_ptr<Pipeline> pipeline;

  explicit Counted(MetricAllowList allowed) {
    auto options = world.pipeline_options();
    options.metrics = metrics;
    options.metric_labels = std::move(allowed);
    pipeline = Pipeline::create(std::move(options)).value();
  }
  void set(SetRequest set) { ASSERT_TRUE(pipeline->set(std::move(set))); }
};

TEST(MetricLabels, without_a_list_no_account_or_flow_is_named) {
  Counted counted({});
  counted.set(of_flow("a", "acme", "orders"));
  drain(*counted.pipeline);
  EXPECT_EQ(counted.metrics->of(kAccepted), (std::map<std::string, double>{{kAccepted + "{kind=set}", 1}}));
  EXPECT_EQ(counted.metrics->of(kOutcomes), (std::map<std::string, double>{{kOutcomes + "{outcome=applied}", 1}}));
}

TEST(MetricLabels, listed_values_are_named_and_the_others_counted_together) {
  Counted counted({.accounts = {"umbrella", "acme"}, .flows = {"orders"}});
  counted.set(of_flow("a", "acme", "orders"));
  counted.set(of_flow("b", "acme", "returns"));
  counted.set(of_flow("c", "globex", "orders"));
  counted.set(of_flow("d", "umbrella", "orders"));
  counted.set(of_flow("e", "umbrella", "orders"));
  EraseRequest erase;
  erase.id = "a";
  ASSERT_TRUE(counted.pipeline->erase(erase));
  drain(*counted.pipeline);
  const std::map<std::string, double> accepted{{kAccepted + "{kind=set,account=acme,flow=orders}", 1},
                                               {kAccepted + "{kind=set,account=acme,flow=other}", 1},
                                               {kAccepted + "{kind=set,account=other,flow=orders}", 1},
                                               {kAccepted + "{kind=set,account=umbrella,flow=orders}", 2},
                                               {kAccepted + "{kind=erase,account=other,flow=other}", 1}};
  EXPECT_EQ(counted.metrics->of(kAccepted), accepted);
  const std::map<std::string, double> outcomes{{kOutcomes + "{outcome=applied,account=acme,flow=orders}", 1},
                                               {kOutcomes + "{outcome=applied,account=acme,flow=other}", 1},
                                               {kOutcomes + "{outcome=applied,account=other,flow=orders}", 1},
                                               {kOutcomes + "{outcome=applied,account=umbrella,flow=orders}", 2},
                                               {kOutcomes + "{outcome=applied,account=other,flow=other}", 1}};
  EXPECT_EQ(counted.metrics->of(kOutcomes), outcomes);
}

TEST(MetricLabels, a_list_of_accounts_alone_gives_no_label_for_flows_and_the_other_way_round) {
  Counted accounts({.accounts = {"acme"}});
  accounts.set(of_flow("a", "acme", "orders"));
  EXPECT_EQ(accounts.metrics->sum(kAccepted + "{kind=set,account=acme}"), 1);
  Counted flows({.flows = {"orders"}});
  flows.set(of_flow("a", "acme", "orders"));
  EXPECT_EQ(flows.metrics->sum(kAccepted + "{kind=set,flow=orders}"), 1);
}

TEST(MetricLabels, ten_thousand_flows_make_no_more_series_than_the_list_has) {
  Counted counted({.accounts = {"acme"}, .flows = {"flow-7", "flow-8"}});
  SeededRandom random(5);
  std::set<std::string> flows;
  std::vector<SetRequest> batch;
  constexpr std::size_t count = 10'000;
  for (std::size_t i = 0; i < count; ++i) {
    const auto flow = "flow-" + std::to_string(i);
    const auto account = random.next() % 2 == 0 ? std::string("acme") : "account-" + std::to_string(random.next() % 5'000);
    batch.push_back(of_flow(std::to_string(i), account, flow));
    if (batch.size() < 500) continue;
    for (const auto& sent : counted.pipeline->set(std::exchange(batch, {})).value()) ASSERT_TRUE(sent);
  }
  drain(*counted.pipeline);
  const auto accepted = counted.metrics->of(kAccepted);
  const auto outcomes = counted.metrics->of(kOutcomes);
  EXPECT_LE(accepted.size(), 2u * 3u);
  EXPECT_LE(outcomes.size(), 2u * 3u);
  double sum = 0;
  for (const auto& [series, amount] : accepted) sum += amount;
  EXPECT_EQ(sum, static_cast<double>(count));
  sum = 0;
  for (const auto& [series, amount] : outcomes) sum += amount;
  EXPECT_EQ(sum, static_cast<double>(count));
}

TEST(MetricLabels, a_batch_of_one_flow_costs_one_addition_per_counter) {
  Counted plain({});
  Counted listed({.accounts = {"acme"}, .flows = {"orders"}});
  for (auto* counted : {&plain, &listed}) {
    std::vector<SetRequest> batch;
    for (int i = 0; i < 200; ++i) batch.push_back(of_flow(std::to_string(i), "acme", "orders"));
    for (const auto& sent : counted->pipeline->set(std::move(batch)).value()) ASSERT_TRUE(sent);
    drain(*counted->pipeline);
  }
  EXPECT_EQ(listed.metrics->calls(), plain.metrics->calls());
}

TEST(MetricLabels, dead_letters_carry_the_labels_of_their_message) {
  // Each of these is a dead letter by another way: refused by the worker's validator, not a command at all, and refused by the store.
  class RefusesFlow final : public Validator {
   public:
    std::vector<Reason> validate(const Command& command) const override {
      return command.flow == "refused" ? std::vector<Reason>{{.code = "no", .message = "no", .pointer = {}}} : std::vector<Reason>();
    }
  };
  World world;
  auto metrics = std::make_shared<Recorder>();
  auto options = world.worker_options();
  options.metrics = metrics;
  options.metric_labels = {.accounts = {"acme"}, .flows = {"orders", "refused"}};
  options.validator = std::make_shared<RefusesFlow>();
  auto worker = Worker::create(std::move(options)).value();
  ASSERT_TRUE(world.ingress()->set(of_flow("a", "acme", "refused")));
  OutgoingMessage garbage;
  garbage.body = Payload("garbage");
  ASSERT_TRUE(world.plain_queue.send(garbage));
  auto conflict = of_flow("b", "acme", "orders");
  conflict.version = 3;
  ASSERT_TRUE(world.ingress()->set(conflict));
  conflict.payload = Payload(R"({"other":true})");
  ASSERT_TRUE(world.ingress()->set(conflict));
  drain(*worker);
  EXPECT_EQ(metrics->sum(kOutcomes + "{outcome=dead-lettered,account=acme,flow=refused}"), 1);
  EXPECT_EQ(metrics->sum(kOutcomes + "{outcome=dead-lettered,account=other,flow=other}"), 1);
  EXPECT_EQ(metrics->sum(kOutcomes + "{outcome=dead-lettered,account=acme,flow=orders}"), 1);
  EXPECT_EQ(metrics->sum(kOutcomes + "{outcome=applied,account=acme,flow=orders}"), 1);
}

TEST(MetricLabels, lists_that_are_no_names_or_too_long_are_refused) {
  World world;
  auto options = world.pipeline_options();
  options.metric_labels = {.accounts = {"a b"}};
  EXPECT_EQ(Pipeline::create(options).error().field(), "metrics.accounts");
  options.metric_labels = {.flows = {""}};
  EXPECT_EQ(Pipeline::create(options).error().field(), "metrics.flows");
  MetricAllowList list;
  for (int i = 0; i < 99; ++i) list.accounts.push_back("a" + std::to_string(i));
  for (int i = 0; i < 9; ++i) list.flows.push_back("f" + std::to_string(i));
  EXPECT_TRUE(list.validate());
  list.flows.emplace_back("one-more");
  EXPECT_EQ(list.validate().error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
