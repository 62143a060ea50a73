// redis stats, retrain, drop: what only stores on Redis have.
#include "redis.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include <setget/redis_config.hpp>

#include "arguments.hpp"
#include "cli.hpp"
#include "output.hpp"

namespace cli {

bool is_redis(const std::string& uri) {
  constexpr std::array kSchemes = {"redis:", "rediss:", "unix:", "redis+", "rediss+"};
  return std::any_of(kSchemes.begin(), kSchemes.end(), [&](const char* scheme) { return uri.starts_with(scheme); });
}

setget::Result<setget::redis::Database> open_redis(const setget::Config& config, const std::string& uri) {
  // Reads and looks: nobody waits for replicas here, and what is asked once needs no cache.
  auto section = config.redis;
  section.wait_replicas = 0;
  section.cache.enabled = false;
  return setget::redis::open(setget::redis::options_of(section, uri));
}

namespace {

void print_report(const setget::redis::MemoryReport& report) {
  const auto per_record = [&](std::uint64_t bytes) {
    return report.records == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(report.records);
  };
  std::uint64_t all = 0;
  std::printf("%-14s %14s %16s %16s\n", "part", "names", "bytes", "bytes a record");
  for (const auto& part : report.parts) {
    all += part.bytes;
    std::printf("%-14s %14llu %16llu %16.1f\n", part.name.c_str(), static_cast<unsigned long long>(part.keys),
                static_cast<unsigned long long>(part.bytes), per_record(part.bytes));
  }
  std::printf("%-14s %14s %16llu %16.1f\n", "together", "", static_cast<unsigned long long>(all), per_record(all));
  std::printf("%llu records; the servers use %llu bytes, their own and other programs' included%s\n",
              static_cast<unsigned long long>(report.records), static_cast<unsigned long long>(report.used_memory),
              report.sampled ? "\nscaled up from a sample; --names N looks at more" : "");
}

setget::Result<setget::redis::Database> open_store(const setget::Config& config) {
  if (!is_redis(config.store)) {
    return setget::Error(setget::ErrorCode::kInvalidArgument, "the store is " + setget::shown_uri(config.store) + ", not on Redis")
        .at_field("store");
  }
  return open_redis(config, config.store);
}

// What a family of records is called, within the namespace that the common flags or the file name.
struct Family {
  std::string account{};
  std::string flow{};
};

int retrain(Context& context, const Family& family) {
  const auto config = resolve_config(context.common);
  if (!config) return failed(context.common, config.error());
  auto database = open_store(*config);
  if (!database) return failed(context.common, database.error());
  const auto done = database->retrain(config->ns, family.account, family.flow);
  if (!done) return failed(context.common, done.error());
  if (context.common.json) {
    print({{"samples", done->samples},
           {"dictionary_bytes", done->dictionary_bytes},
           {"recoded", done->recoded},
           {"removed", done->removed},
           {"still_used", done->still_used}});
    return kOk;
  }
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  if (done->samples == 0) {
    std::printf("no dictionary: the codec is off, or there is too little to learn from\n");
  } else {
    std::printf("a dictionary of %llu bytes from %llu records\n", number(done->dictionary_bytes), number(done->samples));
  }
  std::printf("%llu records encoded anew, %llu older dictionaries removed\n", number(done->recoded), number(done->removed));
  if (done->still_used != 0) std::printf("%llu older ones are still counted as used: run it again\n", number(done->still_used));
  return kOk;
}

// What says that it is meant.
struct Drop {
  std::string prefix{};
  bool sure = false;
};

int drop(Context& context, const Drop& asked) {
  auto config = resolve_config(context.common);
  if (!config) return failed(context.common, config.error());
  const auto refuse = [&](const char* field, const std::string& why) {
    return failed(context.common, setget::Error(setget::ErrorCode::kInvalidArgument, why).at_field(field));
  };
  if (asked.prefix != config->redis.prefix) {
    return refuse("prefix", "the store's prefix is \"" + config->redis.prefix + "\", not \"" + asked.prefix + "\"");
  }
  if (!asked.sure) return refuse("yes", "everything under \"" + asked.prefix + "\" would be removed for good; --yes says that it is meant");
  auto database = open_store(*config);
  if (!database) return failed(context.common, database.error());
  const auto dropped = database->drop();
  if (!dropped) return failed(context.common, dropped.error());
  if (context.common.json) {
    print({{"dropped", *dropped}});
  } else {
    std::printf("%llu names removed\n", static_cast<unsigned long long>(*dropped));
  }
  return kOk;
}

int stats(Context& context, std::size_t names) {
  const auto config = resolve_config(context.common);
  if (!config) return failed(context.common, config.error());
  auto database = open_store(*config);
  if (!database) return failed(context.common, database.error());
  const auto report = database->memory(names);
  if (!report) return failed(context.common, report.error());
  if (!context.common.json) {
    print_report(*report);
    return kOk;
  }
  Json parts = Json::array();
  for (const auto& part : report->parts) {
    Json line = {{"part", part.name}, {"names", part.keys}, {"bytes", part.bytes}};
    line["bytes_per_record"] =
        report->records == 0 ? Json(nullptr) : Json(static_cast<double>(part.bytes) / static_cast<double>(report->records));
    parts.push_back(std::move(line));
  }
  print({{"records", report->records},
         {"looked_at", report->looked_at},
         {"sampled", report->sampled},
         {"used_memory", report->used_memory},
         {"parts", parts}});
  return kOk;
}

}  // namespace

void add_redis(CLI::App& app, Context& context) {
  auto* redis = app.add_subcommand("redis", "look into a store on Redis");
  redis->require_subcommand(1);
  redis->fallthrough();
  auto names = std::make_shared<std::size_t>(100'000);
  auto* memory = redis->add_subcommand("stats", "bytes per record, by part");
  memory->add_option("--names", *names, "names looked at on each master, at most")->capture_default_str()->transform(whole_number(1));
  auto family = std::make_shared<Family>();
  auto* train = redis->add_subcommand("retrain", "train the codec's dictionary anew, and drop the older ones with the text they hold");
  train->add_option("account", family->account, "account of the records")->required();
  train->add_option("flow", family->flow, "flow of the records")->required();
  train->callback([&context, family] { context.chosen = [&context, family] { return retrain(context, *family); }; });
  auto asked = std::make_shared<Drop>();
  auto* gone = redis->add_subcommand("drop", "remove a store for good: records, queues, everything under its prefix");
  gone->add_option("--prefix", asked->prefix, "the store's prefix once more, as [redis] of the configuration names it")->required();
  gone->add_flag("--yes", asked->sure, "it is meant");
  gone->callback([&context, asked] { context.chosen = [&context, asked] { return drop(context, *asked); }; });
  memory->callback([&context, names] { context.chosen = [&context, names] { return stats(context, *names); }; });
}

}  // namespace cli
