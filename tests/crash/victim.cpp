// The process that crash tests kill. It prints what it was answered, each line in one write before the next call, so that whatever the
// parent could read was acknowledged:
//   S identity n version   a set      T identity   an erase is about to be sent      E identity version   an erase
//   G identity version     a get      R            ready                             A                    an archive run is complete
// victim all|all-archive|patient|work|archive|patient-archive N SEED PLACE…: sets are numbered from N; PLACE as Place::words() says.
// "patient…" is the same where the servers may die: what could not be done for their sake is done again, and nothing is said of it until it
// was answered.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "crash/oracle.hpp"
#include "crash/place.hpp"

#include <setget/testing/clock.hpp>

namespace {

using namespace setget;
using setget::testing::SeededRandom;

constexpr int kProducers = 3;

void say(const std::string& line) {
  const auto text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::_Exit(0);
}

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "victim: %s: %s\n", std::string(to_string(error.code())).c_str(), error.message().c_str());
  std::_Exit(3);
}

template <class T>
T must(Result<T> result) {
  if (!result) give_up(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// Until a server answers, if that is what is amiss.
bool patient = false;
template <class Call>
auto insist(Call call) {
  for (;;) {
    auto result = call();
    if (!patient || result || !(result.error().retryable() || result.error().code() == ErrorCode::kDeadlineExceeded)) {
      return must(std::move(result));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Deadline soon() { return Deadline::in(patient ? Milliseconds(1'000) : Milliseconds(30'000)); }

void say_set(int identity, std::uint64_t n, const Receipt& receipt) {
  say("S " + std::to_string(identity) + " " + std::to_string(n) + " " + std::to_string(receipt.version));
}

// Each producer has identities of its own, so that for each of them the answers come in the order of the calls.
void produce(Pipeline& pipeline, int producer, std::uint64_t first, std::uint64_t seed) {
  SeededRandom random(seed);
  const auto pick = [&] { return producer + kProducers * static_cast<int>(random.next() % (crash::kIdentities / kProducers)); };
  for (auto n = first;; ++n) {
    const int identity = pick();
    const auto choice = random.next() % 10;
    if (choice < 6) {
      say_set(identity, n, insist([&] { return pipeline.set(crash::request_of(identity, n), soon()); }));
    } else if (choice < 7) {
      std::vector<SetRequest> batch;
      std::vector<int> identities;
      for (int i = producer; i < crash::kIdentities; i += kProducers) {
        identities.push_back(i);
        batch.push_back(crash::request_of(i, n));
      }
      auto receipts = insist([&] { return pipeline.set(batch, soon()); });
      for (std::size_t i = 0; i < receipts.size(); ++i) {
        if (receipts[i] || !patient) say_set(identities[i], n, must(std::move(receipts[i])));
      }
    } else if (choice < 8) {
      say("T " + std::to_string(identity));
      EraseRequest erase;
      erase.id = crash::id_of(identity);
      const auto receipt = insist([&] { return pipeline.erase(erase, soon()); });
      say("E " + std::to_string(identity) + " " + std::to_string(receipt.version));
    } else {
      const auto found = insist([&] { return pipeline.get("own/" + std::to_string(identity)); });
      if (found) say("G " + std::to_string(identity) + " " + std::to_string(found->version));
    }
  }
}

void do_all(Pipeline& pipeline, std::uint64_t first, std::uint64_t seed) {
  must(pipeline.start());
  std::vector<std::jthread> producers;
  for (int i = 0; i < kProducers; ++i) {
    producers.emplace_back([&pipeline, i, first, seed] { produce(pipeline, i, first, seed * kProducers + static_cast<std::uint64_t>(i)); });
  }
}

void archive(Pipeline& pipeline) {
  while (true) {
    insist([&] { return pipeline.archiver()->run(); });
    say("A");
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Never outlives the test.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 12) return 2;
  const std::string mode = argv[1];
  const auto first = std::strtoull(argv[2], nullptr, 10);
  const auto seed = std::strtoull(argv[3], nullptr, 10);
  auto pipeline = must(crash::open_pipeline(crash::Place::of({argv + 4, argv + argc})));
  say("R");
  patient = mode.starts_with("patient");
  std::jthread archiver;
  if (mode == "all-archive") archiver = std::jthread([&pipeline] { archive(*pipeline); });
  if (mode == "all" || mode == "all-archive" || mode == "patient") do_all(*pipeline, first, seed);
  if (mode == "archive" || mode == "patient-archive") archive(*pipeline);
  if (mode == "work") must(pipeline->start());
  while (true) ::pause();
}
