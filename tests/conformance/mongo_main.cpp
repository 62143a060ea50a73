// Runs the conformance kit's archive suite over MongoDB: every server that can be had, with payloads as binary, as documents beside, and in
// pieces. Servers are started once for all tests; each test has collections of its own.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "support/mongo_server.hpp"

#include <setget/memory.hpp>
#include <setget/testing/conformance.hpp>

namespace {

using setget::Result;
using setget::testing::ConformanceParams;
using setget::testing::Environment;
using setget::testing::Stores;

// The archive of one test, dropped with it.
struct Collections {
  setget::mongo::Options options;
  ~Collections() {
    if (auto database = setget::mongo::open(options)) (void)database->drop();
  }
  Collections(setget::mongo::Options given) : options(std::move(given)) {}
  Collections(const Collections&) = delete;
  Collections& operator=(const Collections&) = delete;
};

Result<Stores> open(const Environment& environment, const std::shared_ptr<void>& place) {
  auto database = setget::mongo::open(std::static_pointer_cast<Collections>(place)->options);
  if (!database) return std::move(database).error();
  // One test compares its scans with those of a key store.
  auto records = setget::memory::open({.clock = environment.clock, .random = environment.random});
  if (!records) return std::move(records).error();
  return Stores{.queues = nullptr, .key_store = records->key_store(), .archive = database->archive(), .schedules = nullptr, .place = place};
}

void add(mongo_test::Kind kind, const std::string& suffix, setget::mongo::PayloadForm form, std::size_t max_inline_bytes) {
  ConformanceParams params;
  params.name = mongo_test::name_of(kind) + suffix;
  params.make = [=](const Environment& environment) {
    auto options = mongo_test::shared_server(kind).options();
    options.payload = form;
    options.max_inline_bytes = max_inline_bytes;
    // Time is simulated, and the server's is not.
    options.ttl_index = false;
    return open(environment, std::make_shared<Collections>(std::move(options)));
  };
  params.reopen = open;
  params.share = open;
  params.queue = params.key_store = params.schedules = false;
  params.deviations.history = "histories are kept by archives in memory or SQLite";
  setget::testing::register_conformance(std::move(params));
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  bool failed = false;
  int available = 0;
  for (const auto kind : mongo_test::kinds()) {
    if (const auto why = mongo_test::missing(kind); !why.empty()) {
      std::printf("[  SKIPPED ] %s\n", why.c_str());
      failed = failed || mongo_test::required(kind);
      continue;
    }
    ++available;
    add(kind, "", setget::mongo::PayloadForm::kBinary, 12u << 20);
    add(kind, "_documents", setget::mongo::PayloadForm::kDocument, 12u << 20);
  }
  if (failed) return 1;
  if (available == 0) return 77;
  return RUN_ALL_TESTS();
}
