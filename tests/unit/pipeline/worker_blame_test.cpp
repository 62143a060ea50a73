// Who is to blame where the store fails: a poison message ends as a dead letter, others do not share its fate, and nobody pays for an
// outage.
#include <algorithm>

#include "support.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget_test;

// Does nothing and answers an error for the whole call, or for the entries one by one, as the test says for each payload.
class Moody final : public setget::testing::ForwardingKeyStore, public FusedStore {
 public:
  using Names = std::vector<std::string>;
  explicit Moody(std::shared_ptr<KeyStoreBackend> inner) : ForwardingKeyStore(std::move(inner)) {}

  std::function<std::optional<Error>(const Names&)> call;        // of the whole call; empty: none
  std::function<std::optional<Error>(const std::string&)> each;  // of one entry; empty: none
  bool hangs = false;                                            // set_expiry, too, is not ended in time
  std::vector<std::size_t> calls;                                // sizes

  FusedStore* fused_with(QueueBackend& queue) override {
    fused_ = ForwardingKeyStore::fused_with(queue);
    return fuses ? this : nullptr;
  }
  bool fuses = true;

  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) override {
    Names names;
    for (const auto& entry : request.entries) names.push_back(entry.command.payload.str());
    if (auto failed = as_a_whole(names)) return *std::move(failed);
    if (!each) return ForwardingKeyStore::apply(request);
    std::vector<Result<ApplyResult>> results;
    for (const auto& entry : request.entries) {
      auto one = request;
      one.entries = {&entry, 1};
      auto failed = each(entry.command.payload.str());
      results.push_back(failed ? Result<ApplyResult>(*std::move(failed)) : ForwardingKeyStore::apply(one).value().front());
    }
    return results;
  }
  Result<Results> apply_and_settle(std::string_view queue, std::span<const FusedEntry> entries, std::span<const Settlement> others,
                                   TimePoint now, Deadline deadline) override {
    Names names;
    for (const auto& entry : entries) names.push_back(entry.entry.command.payload.str());
    if (auto failed = as_a_whole(names)) return *std::move(failed);
    if (!each) return fused_->apply_and_settle(queue, entries, others, now, deadline);
    Results results;
    for (const auto& entry : entries) {
      auto failed = each(entry.entry.command.payload.str());
      results.applied.push_back(failed ? Result<ApplyResult>(*std::move(failed))
                                       : fused_->apply_and_settle(queue, {&entry, 1}, {}, now, deadline).value().applied.front());
    }
    if (!others.empty()) results.settled = fused_->apply_and_settle(queue, {}, others, now, deadline).value().settled;
    return results;
  }
  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries, Deadline deadline) override {
    if (hangs) return Error(ErrorCode::kDeadlineExceeded, "hangs");
    return ForwardingKeyStore::set_expiry(entries, deadline);
  }

 private:
  std::optional<Error> as_a_whole(const Names& names) {
    if (names.empty()) return std::nullopt;
    calls.push_back(names.size());
    return call ? call(names) : std::nullopt;
  }
  FusedStore* fused_ = nullptr;
};

constexpr std::string_view kPoison = R"("poison")";

std::optional<Error> too_slow() { return Error(ErrorCode::kDeadlineExceeded, "too slow"); }

class WorkerBlame : public ::testing::TestWithParam<bool> {
 protected:
  WorkerBlame() {
    store->fuses = GetParam();
    world.key_store = KeyStore(store);
  }
  static QueueOptions queue_options() {
    QueueOptions options;
    options.max_receives = 3;
    return options;
  }
  void set(const std::string& name) { ASSERT_TRUE(world.ingress()->set(request(name, {"k/" + name}, '"' + name + '"'))); }
  // Rounds, each behind every wait.
  void rounds(Worker& worker, int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(worker.run_once());
      world.clock->advance(std::chrono::minutes(2));
    }
  }
  World world{queue_options()};
  std::shared_ptr<Moody> store = std::make_shared<Moody>(world.db.key_store().backend());
};
INSTANTIATE_TEST_SUITE_P(Worker, WorkerBlame, ::testing::Values(true, false),
                         [](const auto& tested) { return tested.param ? "fused" : "apply_then_ack"; });

TEST_P(WorkerBlame, a_message_that_is_never_done_in_time_ends_as_a_dead_letter) {
  store->call = [](const auto&) { return too_slow(); };
  set("poison");
  auto worker = world.worker();
  rounds(*worker, 5);
  EXPECT_EQ(world.stats().dead_letters, 1u);
  EXPECT_EQ(store->calls.size(), 3u);
  world.expect_ledger_adds_up();
}

TEST_P(WorkerBlame, nobody_pays_for_a_store_that_hangs) {
  store->hangs = true;
  store->call = [](const auto&) { return too_slow(); };
  for (const auto* id : {"x", "y", "z"}) set(id);
  auto worker = world.worker();
  rounds(*worker, 10);
  EXPECT_EQ(store->calls, std::vector<std::size_t>(10, 3));
  store->call = {};
  rounds(*worker, 1);
  EXPECT_EQ(worker->stats().applied, 3u);
  EXPECT_EQ(world.stats().dead_letters, 0u);
}

TEST_P(WorkerBlame, nobody_pays_for_a_store_that_hangs_and_says_so_for_each_entry) {
  store->hangs = true;
  store->each = [](const auto&) { return too_slow(); };
  for (const auto* id : {"x", "y", "z"}) set(id);
  auto worker = world.worker();
  rounds(*worker, 10);
  store->each = {};
  rounds(*worker, 1);
  EXPECT_EQ(worker->stats().applied, 3u);
  EXPECT_EQ(world.stats().dead_letters, 0u);
}

TEST_P(WorkerBlame, an_entry_that_is_never_done_in_time_ends_as_a_dead_letter) {
  store->each = [](const auto& name) { return name == kPoison ? too_slow() : std::nullopt; };
  for (const auto* id : {"x", "poison", "z"}) set(id);
  auto worker = world.worker();
  rounds(*worker, 5);
  EXPECT_EQ(worker->stats().applied, 2u);
  EXPECT_EQ(world.stats().dead_letters, 1u);
}

TEST_P(WorkerBlame, the_others_of_a_batch_do_not_share_the_fate_of_what_is_never_done_in_time) {
  for (const auto code : {ErrorCode::kDeadlineExceeded, ErrorCode::kInternal}) {
    store->call = [code](const auto& names) -> std::optional<Error> {
      return std::ranges::find(names, kPoison) == names.end() ? std::nullopt : std::optional<Error>(Error(code, "as a whole"));
    };
    store->calls.clear();
    for (const auto* id : {"a", "poison", "b", "c"}) set(id);
    auto worker = world.worker();
    ASSERT_TRUE(worker->run_once());
    // All at once, "a", "poison"; the others are left for the next round.
    EXPECT_EQ(store->calls, (std::vector<std::size_t>{4, 1, 1}));
    EXPECT_EQ(worker->stats().applied, 1u);
    rounds(*worker, 6);
    EXPECT_EQ(worker->stats().applied + worker->stats().duplicate, 3u);
    EXPECT_EQ(worker->stats().lease_lost, 0u);
    for (const auto* key : {"k/a", "k/b", "k/c"}) EXPECT_TRUE(world.get(key)) << key;
    world.expect_ledger_adds_up();
  }
  EXPECT_EQ(world.stats().dead_letters, 2u);
}

TEST_P(WorkerBlame, a_group_keeps_its_order_around_what_is_never_done_in_time) {
  store->call = [](const auto& names) { return std::ranges::find(names, kPoison) == names.end() ? std::nullopt : too_slow(); };
  auto ingress = world.ingress();
  for (const auto* payload : {R"("a")", R"("poison")", R"("b")", R"("c")"}) ASSERT_TRUE(ingress->set(request("x", {"k"}, payload)));
  auto worker = world.worker();
  rounds(*worker, 8);
  EXPECT_EQ(worker->stats().applied, 3u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
  EXPECT_EQ(world.stats().dead_letters, 1u);
  EXPECT_EQ(world.get("k").value().payload.view(), R"("c")");
  world.expect_ledger_adds_up();
}

TEST_P(WorkerBlame, nobody_pays_for_the_hosts_stop) {
  store->call = [](const auto&) -> std::optional<Error> { return Error(ErrorCode::kCancelled, "the host stops"); };
  for (const auto* id : {"x", "y"}) set(id);
  auto worker = world.worker();
  rounds(*worker, 10);
  EXPECT_EQ(world.stats().dead_letters, 0u);
  store->call = {};
  rounds(*worker, 1);
  EXPECT_EQ(worker->stats().applied, 2u);
}

}  // namespace
