#include "crash/place.hpp"

#include <cstdlib>

#include "crash/oracle.hpp"

#include <setget/config.hpp>

namespace crash {

using namespace setget;

std::vector<std::string> Place::words() const {
  return {
      file, redis, prefix, std::to_string(parts), redis_queue ? "redis" : "file", archive, collection, history ? "history" : "no-history"};
}

Place Place::of(const std::vector<std::string>& words) {
  return {.file = words.at(0),
          .redis = words.at(1),
          .prefix = words.at(2),
          .parts = static_cast<std::uint32_t>(std::strtoul(words.at(3).c_str(), nullptr, 10)),
          .redis_queue = words.at(4) == "redis",
          .archive = words.at(5),
          .collection = words.at(6),
          .history = words.at(7) == "history"};
}

Result<std::unique_ptr<Pipeline>> open_pipeline(const Place& place) {
  if (place.redis.empty() && place.archive.empty() && !place.history) {
    auto database = sqlite::open({.path = place.file, .checkpoint_pages = 100});
    if (!database) return std::move(database).error();
    return make_pipeline(*std::move(database));
  }
  Config config;
  const auto file = "sqlite:" + place.file;
  config.store = place.redis.empty() ? file : place.redis;
  config.archive = place.archive.empty() ? file : place.archive;
  config.queue = place.redis_queue ? place.redis : file;
  config.mongo.collection = place.collection.empty() ? config.mongo.collection : place.collection;
  config.mongo.batch = 40;  // more hangs FerretDB
  config.mongo.connect_timeout = Milliseconds(500);
  config.queue_options = queue_options();
  config.redis.prefix = place.prefix;
  config.redis.shards = config.redis.partitions = place.parts;
  config.pipeline = pipeline_options();
  config.archive_schedule = config.pipeline.archive_schedule;
  if (place.history) {
    auto& flow = config.flows.flows["orders"];
    flow.history = true;
    flow.archive = ArchiveMode::kAlways;
  }
  auto stores = open_stores(config);
  if (!stores) return std::move(stores).error();
  return Pipeline::create(setget::pipeline_options(config, *stores));
}

}  // namespace crash
