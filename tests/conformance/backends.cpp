#include "conformance/backends.hpp"

#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include <setget/memory.hpp>
#include <setget/sqlite.hpp>
#include <setget/testing/faults.hpp>

namespace setget_tests {

using setget::Result;
using setget::testing::Environment;
using setget::testing::Stores;

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "setget-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = std::move(pattern);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

namespace {

template <class Database>
Stores stores_of(Database& database, std::shared_ptr<void> place) {
  return {.queues = database.queues(),
          .key_store = database.key_store(),
          .archive = database.archive(),
          .schedules = database.schedules(),
          .place = std::move(place)};
}

}  // namespace

ConformanceParams memory_backend() {
  ConformanceParams params;
  params.name = "memory";
  params.make = [](const Environment& environment) -> Result<Stores> {
    auto database = setget::memory::open({.clock = environment.clock, .random = environment.random});
    if (!database) return std::move(database).error();
    return stores_of(*database, nullptr);
  };
  return params;
}

namespace {

setget::sqlite::Options options_of(const Environment& environment, const TemporaryFolder& folder, const char* file) {
  setget::sqlite::Options options;
  options.path = folder.path() + "/" + file;
  options.clock = environment.clock;
  options.random = environment.random;
  return options;
}

Result<Stores> open_one_file(const Environment& environment, const std::shared_ptr<void>& place) {
  auto database = setget::sqlite::open(options_of(environment, *std::static_pointer_cast<TemporaryFolder>(place), "store.db"));
  if (!database) return std::move(database).error();
  return stores_of(*database, place);
}

Result<Stores> open_three_files(const Environment& environment, const std::shared_ptr<void>& place) {
  const auto& folder = *std::static_pointer_cast<TemporaryFolder>(place);
  auto queue = setget::sqlite::open(options_of(environment, folder, "queue.db"));
  if (!queue) return std::move(queue).error();
  auto store = setget::sqlite::open(options_of(environment, folder, "store.db"));
  if (!store) return std::move(store).error();
  auto archive = setget::sqlite::open(options_of(environment, folder, "archive.db"));
  if (!archive) return std::move(archive).error();
  return Stores{.queues = queue->queues(),
                .key_store = store->key_store(),
                .archive = archive->archive(),
                .schedules = archive->schedules(),
                .place = place};
}

ConformanceParams on_disk(std::string name, Result<Stores> (*open)(const Environment&, const std::shared_ptr<void>&)) {
  ConformanceParams params;
  params.name = std::move(name);
  params.make = [open](const Environment& environment) { return open(environment, std::make_shared<TemporaryFolder>()); };
  params.reopen = open;
  params.share = open;
  return params;
}

}  // namespace

ConformanceParams sqlite_backend() { return on_disk("sqlite", open_one_file); }

ConformanceParams quick_sqlite_backend() {
  ConformanceParams params;
  params.name = "quick_sqlite";
  params.make = [](const Environment& environment) -> Result<Stores> {
    const auto folder = std::make_shared<TemporaryFolder>();
    auto options = options_of(environment, *folder, "store.db");
    options.durable = false;
    auto database = setget::sqlite::open(std::move(options));
    if (!database) return std::move(database).error();
    return stores_of(*database, folder);
  };
  return params;
}

ConformanceParams sqlite_apart_backend() {
  auto params = on_disk("sqlite_apart", open_three_files);
  params.deviations.fused = "queue and key store are files of their own";
  return params;
}

ConformanceParams decorated(ConformanceParams params, std::string name) {
  const auto wrap = [](Result<Stores> stores) -> Result<Stores> {
    if (!stores) return stores;
    const auto plan = std::make_shared<setget::testing::FaultPlan>();
    stores->queues = std::make_shared<setget::testing::FaultyQueue>(std::move(stores->queues), plan);
    stores->key_store = setget::KeyStore(std::make_shared<setget::testing::FaultyKeyStore>(stores->key_store.backend(), plan));
    stores->archive = std::make_shared<setget::testing::FaultyArchive>(std::move(stores->archive), plan);
    return stores;
  };
  params.name = std::move(name);
  params.make = [inner = params.make, wrap](const Environment& environment) { return wrap(inner(environment)); };
  for (auto* again : {&params.reopen, &params.share}) {
    if (!*again) continue;
    *again = [inner = *again, wrap](const Environment& environment, const std::shared_ptr<void>& place) {
      return wrap(inner(environment, place));
    };
  }
  return params;
}

}  // namespace setget_tests
