// The kit on backends that it must judge: one that lacks a single capability and says so passes; one that answers with errors makes it
// fail, which must be a failure of the case and not the end of the host's program.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <setget/testing/faults.hpp>
#include <setget/testing/forwarding.hpp>

#include "conformance/backends.hpp"

namespace setget_tests {
namespace {

using namespace setget;
namespace kit = setget::testing;
using setget::testing::Environment;
using setget::testing::FaultPlan;
using setget::testing::Stores;

// --- what lacks one capability -----------------------------------------------------------------------------------------------------

using Capability = bool QueueCapabilities::*;

Error unsupported() { return Error(ErrorCode::kUnsupported, "this queue cannot"); }

class Lacking final : public setget::testing::ForwardingQueue {
 public:
  Lacking(std::shared_ptr<QueueBackend> inner, Capability lacks) : ForwardingQueue(std::move(inner)), lacks_(lacks) {}

  QueueCapabilities capabilities() const override {
    auto can = inner()->capabilities();
    can.*lacks_ = false;
    return can;
  }
  Result<QueueInfo> create(const CreateQueue& request) override {
    if (request.options.kind == QueueKind::kFifo && lacks(&QueueCapabilities::fifo)) return unsupported();
    if (request.options.delay > Milliseconds(0) && lacks(&QueueCapabilities::delay)) return unsupported();
    return inner()->create(request);
  }
  Result<std::vector<Result<SentMessage>>> send(const SendMessages& request) override {
    for (const auto& message : request.messages) {
      if (!message.dedup_id.empty() && lacks(&QueueCapabilities::dedup)) return unsupported();
      if (message.delay && lacks(&QueueCapabilities::delay)) return unsupported();
    }
    auto sent = inner()->send(request);
    if (!sent || !lacks(&QueueCapabilities::stamps)) return sent;
    for (auto& one : *sent) {
      if (one) one->stamp = 0;
    }
    return sent;
  }
  Result<std::vector<Message>> receive(const ReceiveMessages& request) override { return stampless(inner()->receive(request)); }
  Result<std::vector<Message>> peek(const PeekMessages& request) override { return stampless(inner()->peek(request)); }
  Result<MessageStatus> find(const FindMessage& request) override {
    if (lacks(&QueueCapabilities::ledger)) return unsupported();
    auto found = inner()->find(request);
    if (found && lacks(&QueueCapabilities::stamps)) found->stamp = 0;
    return found;
  }
  Result<QueueStats> stats(std::string_view queue, Deadline deadline) override {
    auto stats = inner()->stats(queue, deadline);
    if (!stats) return stats;
    if (lacks(&QueueCapabilities::dead_letters)) stats->dead_letters = 0;
    if (lacks(&QueueCapabilities::ledger)) {
      stats->accepted = 0;
      for (auto& count : stats->outcomes) count = 0;
    }
    return stats;
  }
  Result<DeadLetterPage> dead_letters(const ListDeadLetters& request) override {
    if (lacks(&QueueCapabilities::dead_letters)) return unsupported();
    auto page = inner()->dead_letters(request);
    if (!page || !lacks(&QueueCapabilities::stamps)) return page;
    for (auto& letter : page->letters) letter.stamp = 0;
    return page;
  }
  Result<std::size_t> redrive(const RedriveDeadLetters& request) override {
    if (lacks(&QueueCapabilities::dead_letters)) return unsupported();
    return inner()->redrive(request);
  }
  Result<std::size_t> purge(const PurgeDeadLetters& request) override {
    if (lacks(&QueueCapabilities::dead_letters)) return unsupported();
    return inner()->purge(request);
  }
  Result<Stamp> oldest_unfinished(Deadline deadline) override {
    if (lacks(&QueueCapabilities::oldest_unfinished)) return unsupported();
    return inner()->oldest_unfinished(deadline);
  }

 private:
  bool lacks(Capability capability) const { return capability == lacks_; }
  Result<std::vector<Message>> stampless(Result<std::vector<Message>> messages) const {
    if (!messages || !lacks(&QueueCapabilities::stamps)) return messages;
    for (auto& message : *messages) message.stamp = 0;
    return messages;
  }
  Capability lacks_;
};

struct Lack {
  const char* name;
  Capability capability;
  std::string kit::Deviations::*deviation;
};
constexpr std::array kLacks{
    Lack{"stamps", &QueueCapabilities::stamps, &kit::Deviations::stamps},
    Lack{"ledger", &QueueCapabilities::ledger, &kit::Deviations::ledger},
    Lack{"fifo", &QueueCapabilities::fifo, &kit::Deviations::fifo},
    Lack{"dedup", &QueueCapabilities::dedup, &kit::Deviations::dedup},
    Lack{"delay", &QueueCapabilities::delay, &kit::Deviations::delay},
    Lack{"dead_letters", &QueueCapabilities::dead_letters, &kit::Deviations::dead_letters},
    Lack{"oldest_unfinished", &QueueCapabilities::oldest_unfinished, &kit::Deviations::oldest_unfinished},
};

ConformanceParams lacking(const Lack& lack) {
  auto params = memory_backend();
  params.name = std::string("lacks_") + lack.name;
  params.make = [inner = params.make, capability = lack.capability](const Environment& environment) -> Result<Stores> {
    auto stores = inner(environment);
    if (stores) stores->queues = std::make_shared<Lacking>(std::move(stores->queues), capability);
    return stores;
  };
  params.key_store = params.archive = params.schedules = false;
  params.deviations.*lack.deviation = "left out on purpose";
  return params;
}

// --- what answers with errors ------------------------------------------------------------------------------------------------------

class FaultySchedules final : public ScheduleStore {
 public:
  explicit FaultySchedules(std::shared_ptr<ScheduleStore> inner) : inner_(std::move(inner)) {}
  Result<std::optional<ScheduleState>> load(std::string_view job) override { return inner_->load(job); }
  Result<bool> exchange(std::string_view, const std::optional<ScheduleState>&, const ScheduleState&) override {
    return Error(ErrorCode::kUnavailable, "away");
  }

 private:
  std::shared_ptr<ScheduleStore> inner_;
};

// Every call of the verb after so many.
ConformanceParams failing(const std::string& verb, std::size_t after) {
  auto params = memory_backend();
  params.name = "failing_" + verb;
  params.make = [inner = params.make, verb, after](const Environment& environment) -> Result<Stores> {
    auto stores = inner(environment);
    if (!stores) return stores;
    const auto plan = std::make_shared<FaultPlan>();
    plan->add({.verb = verb, .after = after, .times = 0});
    stores->queues = std::make_shared<kit::FaultyQueue>(std::move(stores->queues), plan);
    stores->key_store = KeyStore(std::make_shared<kit::FaultyKeyStore>(stores->key_store.backend(), plan));
    stores->schedules = std::make_shared<FaultySchedules>(std::move(stores->schedules));
    return stores;
  };
  return params;
}

// What this program ends with when it runs these tests in a process of its own; 124: it had to be stopped.
int exit_of(const std::string& tests) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto command =
      "ASAN_OPTIONS=exitcode=99 exec timeout 60 '" + self + "' --gtest_brief=1 --gtest_filter=" + tests + " >/dev/null 2>&1";
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class Kit : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Of, Kit,
                         ::testing::Values("failing_apply_key_store.readers_never_see_a_part_of_a_version",
                                           "failing_get_key_store.readers_never_see_a_part_of_a_version",
                                           "failing_send_queue.producers_and_consumers_at_once_lose_and_repeat_nothing",
                                           "failing_receive_queue.producers_and_consumers_at_once_lose_and_repeat_nothing",
                                           "failing_settle_queue.producers_and_consumers_at_once_lose_and_repeat_nothing",
                                           "failing_get_schedules.of_many_runners_one_wins"));

TEST_P(Kit, an_error_fails_the_case_and_not_the_program) { EXPECT_EQ(exit_of(GetParam()), 1); }

}  // namespace

void register_kit() {
  for (const auto& lack : kLacks) kit::register_conformance(lacking(lack));
  for (const auto* verb : {"apply", "send", "receive", "settle"}) kit::register_conformance(failing(verb, 10));
  kit::register_conformance(failing("get", 0));  // how many more there are depends on the machine
}

}  // namespace setget_tests

int main(int argc, char** argv) {
  setget_tests::register_kit();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
