// kill -9 of producers, worker and archiver where every state is kept, over one file: gets of the past stay exact to the millisecond.
// SETGET_CRASH_ROUNDS=N for the long form.
#include <gtest/gtest.h>

#include <memory>

#include "crash/kill_rounds.hpp"
#include "crash/temporary_folder.hpp"

namespace {

crash::FreshPlace files_with_history() {
  const auto folder = std::make_shared<std::unique_ptr<crash::TemporaryFolder>>();
  return [folder] {
    *folder = std::make_unique<crash::TemporaryFolder>();
    return crash::Place{.file = (*folder)->path("crash.db"), .history = true};
  };
}

TEST(HistoryKill, the_past_is_what_it_was_when_everything_died_together) {
  crash::kill_with_history(files_with_history(), crash::rounds(60));
}

}  // namespace
