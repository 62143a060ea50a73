// kill -9 over one file: of everything, of the worker alone, of the archiver alone. SETGET_CRASH_ROUNDS=N for the long form.
#include <gtest/gtest.h>

#include <memory>

#include "crash/kill_rounds.hpp"
#include "crash/temporary_folder.hpp"

namespace {

crash::FreshPlace files() {
  const auto folder = std::make_shared<std::unique_ptr<crash::TemporaryFolder>>();
  return [folder] {
    *folder = std::make_unique<crash::TemporaryFolder>();
    return crash::Place{.file = (*folder)->path("crash.db")};
  };
}

TEST(Kill, nothing_acknowledged_is_lost_when_producers_and_worker_die_together) { crash::kill_everything(files(), crash::rounds(200)); }
TEST(Kill, nothing_acknowledged_is_lost_when_only_the_worker_dies) { crash::kill_worker(files(), crash::rounds(50, 25)); }
TEST(Kill, the_archive_is_complete_when_an_archiver_has_died) { crash::kill_archiver(files(), crash::rounds(50, 25)); }

}  // namespace
