// A host program that has only what was installed: stores a record, reads it back by webhook key.
#include <iostream>

#include <setget/memory.hpp>
#include <setget/setget.hpp>

#ifdef WITH_SQLITE
#include <setget/sqlite.hpp>
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
  std::cout << "consumer ok\n";
  return 0;
}
