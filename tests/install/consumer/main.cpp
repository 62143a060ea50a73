// A host program that has only what was installed: stores a record, reads it back by webhook key.
#include <iostream>

#include <setget/memory.hpp>
#include <setget/setget.hpp>

#ifdef WITH_SQLITE
#include <setget/sqlite.hpp>
#endif
#ifdef WITH_MONGO
#include <setget/mongo.hpp>
#endif
#ifdef WITH_REDIS
#include <setget/redis.hpp>
#endif

namespace {

int round_trip(setget::Queue queue, setget::KeyStore store, setget::Durability durability) {
  setget::PipelineOptions options;
  options.queue = std::move(queue);
  options.key_store = std::move(store);
  options.durability = durability;
  auto pipeline = setget::Pipeline::create(std::move(options));
  if (!pipeline) return std::cerr << pipeline.error().describe() << '\n', 1;
  auto receipt = (*pipeline)->set({.keys = {"order/42"}, .account = "acme", .flow = "orders", .payload = R"({"total": 12})"});
  if (!receipt) return std::cerr << receipt.error().describe() << '\n', 1;
  if (auto worked = (*pipeline)->run_once(); !worked) return std::cerr << worked.error().describe() << '\n', 1;
  auto found = (*pipeline)->get("order/42");
  if (!found || !*found || (*found)->payload.view() != R"({"total": 12})") return std::cerr << "not read back\n", 1;
  return 0;
}

#ifdef WITH_REDIS
// No server is needed: a store that cannot be reached opens, and says so when it is used.
int without_a_server() {
  setget::redis::Options options;
  if (setget::redis::open(options)) return std::cerr << "a store without a URI was opened\n", 1;
  options.uri = "redis://127.0.0.1:1?connect_timeout=100ms";
  auto database = setget::redis::open(std::move(options));
  if (!database) return std::cerr << database.error().describe() << '\n', 1;
  const auto found = database->key_store().get("order/42", setget::system_clock()->now());
  if (found || !found.error().retryable()) return std::cerr << "a get without a server did not answer with a retryable error\n", 1;
  return 0;
}
#endif

#ifdef WITH_MONGO
int archive_without_a_server() {
  setget::mongo::Options options;
  if (setget::mongo::open(options)) return std::cerr << "an archive without a URI was opened\n", 1;
  options.uri = "mongodb://127.0.0.1:1/setget";
  options.connect_timeout = setget::Milliseconds(100);
  options.retries = 0;
  auto database = setget::mongo::open(std::move(options));
  if (!database) return std::cerr << database.error().describe() << '\n', 1;
  const auto checkpoint = database->archive()->load_checkpoint();
  if (checkpoint || !checkpoint.error().retryable())
    return std::cerr << "an archive without a server did not answer with a retryable error\n", 1;
  return 0;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  auto memory = setget::memory::open();
  if (!memory) return std::cerr << memory.error().describe() << '\n', 1;
  if (int failed = round_trip(memory->queue(), memory->key_store(), setget::Durability::kMemory)) return failed;
#ifdef WITH_SQLITE
  if (argc != 2) return std::cerr << "usage: consumer FILE\n", 2;
  setget::sqlite::Options options;
  options.path = argv[1];
  auto database = setget::sqlite::open(std::move(options));
  if (!database) return std::cerr << database.error().describe() << '\n', 1;
  if (int failed = round_trip(database->queue(), database->key_store(), setget::Durability::kDisk)) return failed;
#else
  (void)argc;
  (void)argv;
#endif
#ifdef WITH_MONGO
  if (int failed = archive_without_a_server()) return failed;
#endif
#ifdef WITH_REDIS
  if (int failed = without_a_server()) return failed;
#endif
  std::cout << "consumer ok\n";
  return 0;
}
