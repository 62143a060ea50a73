#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include <setget/config.hpp>

#include "support/after_look.hpp"

using namespace setget;

namespace {

struct Refused {
  std::string field;
  std::string message;
};
Refused refused(std::string_view toml) {
  const auto config = parse_config(toml, "x.toml");
  if (config) return {"accepted", "accepted"};
  EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
  return {config.error().field(), config.error().message()};
}

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// A folder of its own, which is the current one while the test runs: default paths are relative.
class OpenStores : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "setget-config-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(folder_);
  }
  void TearDown() override {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }
  bool exists(const char* name) const { return std::filesystem::exists(folder_ / name); }
  static Refused refused(const Config& config) {
    const auto stores = open_stores(config);
    return stores ? Refused{"opened", "opened"} : Refused{stores.error().field(), stores.error().message()};
  }

 private:
  std::filesystem::path folder_;
  std::filesystem::path before_;
};

}  // namespace

TEST(Config, an_empty_file_gives_the_defaults) {
  const auto config = parse_config("");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  const Config defaults;
  EXPECT_EQ(config->listen, "127.0.0.1:8080");
  EXPECT_EQ(config->store, "sqlite:setget.db");
  EXPECT_EQ(config->queue_options, defaults.queue_options);
  EXPECT_EQ(config->http.max_body, defaults.http.max_body);
  EXPECT_EQ(config->flows, Flows{});
}

TEST(Config, says_how_gets_fall_back_to_the_archive) {
  const auto config = parse_config(
      "[archive]\nread_through = true\nread_timeout = \"50ms\"\nread_when_away = \"miss\"\nread_threads = 2\nread_waiting = 7\n"
      "missing_entries = 0\nmissing_age = \"3s\"\nread_failures = 9\nread_pause = \"4s\"");
  ASSERT_TRUE(config) << config.error().describe();
  const auto& through = config->pipeline.through;
  EXPECT_EQ(through.timeout, Milliseconds(50));
  EXPECT_TRUE(through.miss_when_away);
  EXPECT_EQ(through.threads, 2U);
  EXPECT_EQ(through.max_waiting, 7U);
  EXPECT_EQ(through.negative_entries, 0U);
  EXPECT_EQ(through.negative_age, Milliseconds(3'000));
  EXPECT_EQ(through.failures, 9U);
  EXPECT_EQ(through.pause, Milliseconds(4'000));
  for (const std::string bad : {"read_timeout = 0", "read_timeout = \"2m\"", "read_when_away = \"wait\"", "read_threads = 0",
                                "read_threads = 65", "read_waiting = 0", "read_failures = 0", "read_pause = 0"}) {
    const auto refused = parse_config("[archive]\n" + bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().field(), "archive." + bad.substr(0, bad.find(' ')));
  }
}

TEST(Config, says_how_much_of_histories_may_wait_for_the_archive) {
  const auto config = parse_config("[store]\noutbox_states = 7\noutbox_bytes = \"3MiB\"");
  ASSERT_TRUE(config) << config.error().describe();
  EXPECT_EQ(config->outbox_states, 7U);
  EXPECT_EQ(config->outbox_bytes, std::size_t{3} << 20);
  for (const std::string bad : {"outbox_states = 0", "outbox_states = -1", "outbox_bytes = 0", "outbox_bytes = \"much\""}) {
    const auto refused = parse_config("[store]\n" + bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().field(), "store." + bad.substr(0, bad.find(' ')));
  }
}

TEST(Config, the_sample_names_every_setting_with_its_default) {
  const auto config = load_config(SETGET_SAMPLE_CONFIG);
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  const Config defaults;
  EXPECT_EQ(config->listen, defaults.listen);
  EXPECT_EQ(config->admin_listen, defaults.admin_listen);
  EXPECT_EQ(config->ns, defaults.ns);
  EXPECT_EQ(config->store, defaults.store);
  EXPECT_EQ(config->outbox_states, defaults.outbox_states);
  EXPECT_EQ(config->outbox_bytes, defaults.outbox_bytes);
  EXPECT_EQ(config->queue, defaults.queue);
  EXPECT_EQ(config->queue_name, defaults.queue_name);
  EXPECT_EQ(config->queue_options, defaults.queue_options);
  EXPECT_EQ(config->archive, defaults.archive);
  EXPECT_EQ(config->archive_schedule, defaults.archive_schedule);
  EXPECT_EQ(config->time_zone, defaults.time_zone);
  EXPECT_EQ(config->read_through, defaults.read_through);
  const auto& through = config->pipeline.through;
  const ReadThroughOptions usual;
  EXPECT_EQ(through.timeout, usual.timeout);
  EXPECT_EQ(through.miss_when_away, usual.miss_when_away);
  EXPECT_EQ(through.threads, usual.threads);
  EXPECT_EQ(through.max_waiting, usual.max_waiting);
  EXPECT_EQ(through.negative_entries, usual.negative_entries);
  EXPECT_EQ(through.negative_age, usual.negative_age);
  EXPECT_EQ(through.failures, usual.failures);
  EXPECT_EQ(through.pause, usual.pause);
  EXPECT_EQ(config->http.max_connections, defaults.http.max_connections);
  EXPECT_EQ(config->http.max_body, defaults.http.max_body);
  EXPECT_EQ(config->http.max_header, defaults.http.max_header);
  EXPECT_EQ(config->http.max_buffered, defaults.http.max_buffered);
  EXPECT_EQ(config->http.header_timeout, defaults.http.header_timeout);
  EXPECT_EQ(config->http.body_timeout, defaults.http.body_timeout);
  EXPECT_EQ(config->http.idle_timeout, defaults.http.idle_timeout);
  EXPECT_EQ(config->http.write_timeout, defaults.http.write_timeout);
  EXPECT_EQ(config->pipeline.metric_labels, defaults.pipeline.metric_labels);
  EXPECT_EQ(config->limits.max_payload, defaults.limits.max_payload);
  EXPECT_EQ(config->limits.max_keys, defaults.limits.max_keys);
  EXPECT_EQ(config->limits.max_attribute_bytes, defaults.limits.max_attribute_bytes);
  EXPECT_EQ(config->limits.max_depth, defaults.limits.max_depth);
  EXPECT_EQ(config->limits.max_reasons, defaults.limits.max_reasons);
  EXPECT_EQ(config->limits.reject_duplicate_names, defaults.limits.reject_duplicate_names);
  EXPECT_EQ(config->limits.reject_inexact_integers, defaults.limits.reject_inexact_integers);
  EXPECT_EQ(config->pipeline.worker_threads, defaults.pipeline.worker_threads);
  EXPECT_EQ(config->pipeline.worker_batch, defaults.pipeline.worker_batch);
  EXPECT_EQ(config->pipeline.worker_batch_bytes, defaults.pipeline.worker_batch_bytes);
  EXPECT_EQ(config->pipeline.prefetch_batches, defaults.pipeline.prefetch_batches);
  EXPECT_EQ(config->pipeline.linger, defaults.pipeline.linger);
  EXPECT_EQ(config->pipeline.backoff.base, defaults.pipeline.backoff.base);
  EXPECT_EQ(config->pipeline.backoff.cap, defaults.pipeline.backoff.cap);
  EXPECT_EQ(config->pipeline.backoff.outage_cap, defaults.pipeline.backoff.outage_cap);
  EXPECT_EQ(config->pipeline.max_waiting, defaults.pipeline.max_waiting);
  EXPECT_EQ(config->pipeline.max_waiting_bytes, defaults.pipeline.max_waiting_bytes);
  EXPECT_EQ(config->pipeline.block_when_full, defaults.pipeline.block_when_full);
  EXPECT_EQ(config->pipeline.archive_catch_up, defaults.pipeline.archive_catch_up);
  EXPECT_EQ(config->pipeline.archive_retry_after, defaults.pipeline.archive_retry_after);
  EXPECT_EQ(config->pipeline.archive_retry_cap, defaults.pipeline.archive_retry_cap);
  EXPECT_EQ(config->pipeline.archive_retry_window, defaults.pipeline.archive_retry_window);
  EXPECT_EQ(config->pipeline.archive_verify_sample, defaults.pipeline.archive_verify_sample);
  EXPECT_EQ(config->pipeline.archive_max_records_per_second, defaults.pipeline.archive_max_records_per_second);
  EXPECT_EQ(config->pipeline.archive_max_share, defaults.pipeline.archive_max_share);
  EXPECT_EQ(config->pipeline.maintenance_interval, defaults.pipeline.maintenance_interval);
  EXPECT_EQ(config->flows.accounts.at("acme").flows.at("orders").ttl, Ttl::after(std::chrono::seconds(90)));
}

TEST(Config, settings_that_the_sample_comments_out_are_known_too) {
  auto text = read(SETGET_SAMPLE_CONFIG);
  for (const std::string_view line :
       {"# uri = \"sqlite:setget-queue.db\"", "# uri = \"sqlite:archive.db\"", "# max_body", "# max_message_bytes"}) {
    const auto at = text.find(line);
    ASSERT_NE(at, std::string::npos) << line;
    text.erase(at, 2);
  }
  const auto config = parse_config(text);
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_EQ(config->queue, "sqlite:setget-queue.db");
  EXPECT_EQ(config->archive, "sqlite:archive.db");
}

TEST(Config, reads_what_redis_stores_are_opened_with) {
  const auto config = parse_config("[store]\nuri = \"redis://x\"\n[redis]\nprefix = \"app-1\"\nshards = 16\npartitions = 4\n");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_EQ(config->store, "redis://x");
  EXPECT_EQ(config->redis.prefix, "app-1");
  EXPECT_EQ(config->redis.shards, 16u);
  EXPECT_EQ(config->redis.partitions, 4u);
  for (const auto& [text, field] : std::map<std::string, std::string>{{"prefix = \"a b\"", "redis.prefix"},
                                                                      {"prefix = \"{x}\"", "redis.prefix"},
                                                                      {"shards = 3", "redis.shards"},
                                                                      {"shards = 8192", "redis.shards"},
                                                                      {"partitions = 512", "redis.partitions"},
                                                                      {"db = 1", "redis.db"}}) {
    const auto found = parse_config("[redis]\n" + text + "\n");
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().field(), field);
  }
}

TEST(Config, a_uri_is_shown_without_its_passwords) {
  EXPECT_EQ(shown_uri("sqlite:/data/a:b@c.db"), "sqlite:/data/a:b@c.db");
  EXPECT_EQ(shown_uri("redis://10.0.0.1:6379/2"), "redis://10.0.0.1:6379/2");
  EXPECT_EQ(shown_uri("redis://app:se%40cret@h:1/0?pool=2"), "redis://app:***@h:1/0?pool=2");
  EXPECT_EQ(shown_uri("rediss://:a/b?c@d@h"), "rediss://:***@h");
  EXPECT_EQ(shown_uri("redis://token@h"), "redis://***@h");
  EXPECT_EQ(shown_uri("redis+sentinel://u:p@a,b/main?sentinel_password=geheim&pool=1"),
            "redis+sentinel://u:***@a,b/main?sentinel_password=***&pool=1");
  EXPECT_EQ(shown_uri("redis+sentinel://a:1,b:2/main?sentinel_password=ge@heim&pool=1"),
            "redis+sentinel://a:1,b:2/main?sentinel_password=***&pool=1");
}

TEST(Config, reads_which_accounts_and_flows_metrics_may_name) {
  const auto config = parse_config("[metrics]\naccounts = [\"acme\", \"globex\"]\nflows = [\"orders\"]\n");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_EQ(config->pipeline.metric_labels, (MetricAllowList{.accounts = {"acme", "globex"}, .flows = {"orders"}}));
  const auto options = pipeline_options(*config, Stores{});
  EXPECT_EQ(options.metric_labels, config->pipeline.metric_labels);
  EXPECT_TRUE(parse_config("")->pipeline.metric_labels.empty());

  const auto refused = [](const char* text, std::string_view field) {
    const auto found = parse_config(text);
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(found.error().field(), field) << found.error().describe();
  };
  refused("[metrics]\nflows = \"orders\"\n", "metrics.flows");
  refused("[metrics]\naccounts = [\"acme\", 7]\n", "metrics.accounts");
  refused("[metrics]\naccounts = [\"a b\"]\n", "metrics.accounts");
  refused("[metrics]\nkeys = []\n", "metrics.keys");
}

TEST(Config, reads_values_into_the_structs_they_belong_to) {
  const auto config = parse_config(R"(
[server]
listen = "0.0.0.0:9"
namespace = "eu"
threads = 4
idle_timeout = 5
[queue]
kind = "standard"
visibility_timeout = "1500ms"
max_receives = 0
[archive]
catch_up = "all"
schedule = "@daily"
time_zone = "Europe/Berlin"
retry_after = "2m"
retry_cap = "1h"
retry_window = "5h"
verify_sample = 7
rate = 250
busy_percent = 20
[limits]
max_payload = "64KiB"
[worker]
batch = 7
[ingress]
when_full = "refuse"
)");
  ASSERT_TRUE(config.has_value()) << config.error().describe();
  EXPECT_EQ(config->ns, "eu");
  EXPECT_EQ(config->http.threads, 4U);
  EXPECT_EQ(config->http.idle_timeout, std::chrono::seconds(5));
  EXPECT_EQ(config->queue_options.kind, QueueKind::kStandard);
  EXPECT_EQ(config->queue_options.visibility_timeout, Milliseconds(1500));
  EXPECT_EQ(config->queue_options.max_receives, 0U);
  EXPECT_EQ(config->pipeline.archive_catch_up, CatchUp::kAll);
  EXPECT_EQ(config->pipeline.archive_retry_after, std::chrono::minutes(2));
  EXPECT_EQ(config->pipeline.archive_retry_cap, std::chrono::hours(1));
  EXPECT_EQ(config->pipeline.archive_retry_window, std::chrono::hours(5));
  EXPECT_EQ(config->pipeline.archive_verify_sample, 7U);
  EXPECT_EQ(config->pipeline.archive_max_records_per_second, 250);
  EXPECT_EQ(config->pipeline.archive_max_share, 0.2);
  EXPECT_EQ(config->limits.max_payload, 65'536U);
  EXPECT_EQ(config->pipeline.worker_batch, 7U);
  EXPECT_FALSE(config->pipeline.block_when_full);
}

TEST(Config, a_larger_payload_makes_room_on_the_wire_and_in_the_queue) {
  const auto config = parse_config("[limits]\nmax_payload = \"64MiB\"");
  ASSERT_TRUE(config.has_value());
  EXPECT_GE(config->http.max_body, (64U << 20) * 4 / 3);
  EXPECT_GE(config->queue_options.max_message_bytes, 65U << 20);
  EXPECT_EQ(parse_config("[limits]\nmax_payload = \"64MiB\"\n[server]\nmax_body = 1000")->http.max_body, 1000U);
}

TEST(Config, mistakes_name_path_and_line) {
  EXPECT_EQ(refused("[sever]\nlisten = \"x\"").message, "x.toml:1: sever: unknown section");
  EXPECT_EQ(refused("listen = \"x\"").message, "x.toml:1: listen: unknown key");
  EXPECT_EQ(refused("[server]\n\nport = 80").message, "x.toml:3: server.port: unknown key");
  EXPECT_EQ(refused("[server]\nthreads = \"4\"").field, "server.threads");
  EXPECT_EQ(refused("[server]\nthreads = -4").field, "server.threads");
  EXPECT_EQ(refused("[server]\nnamespace = \"a b\"").field, "server.namespace");
  EXPECT_EQ(refused("[worker]\nthreads = 0").message, "x.toml:2: worker.threads: must be at least 1");
  EXPECT_EQ(refused("[worker]\nlinger = \"never\"").field, "worker.linger");
  EXPECT_EQ(refused("[worker]\nbackoff_base = 9\nbackoff_cap = 1").field, "worker.backoff_cap");
  EXPECT_EQ(refused("[worker]\nthreads = 1\nbackoff_cap = \"4000d\"").message, "x.toml:3: worker.backoff_cap: must be at most 10 years");
  for (const std::string key : {"jitter", "retry_after", "retry_cap"}) {
    EXPECT_EQ(refused("[archive]\n" + key + " = 9223372036854775").field, "archive." + key);
  }
  EXPECT_EQ(refused("[store]\nmaintenance_interval = 9223372036854775").field, "store.maintenance_interval");
  for (const std::string key : {"header_timeout", "body_timeout", "idle_timeout", "write_timeout"}) {
    EXPECT_EQ(refused("[server]\n" + key + " = \"300000d\"").message, "x.toml:2: server." + key + ": must be at most a day");
  }
  EXPECT_EQ(refused("[queue]\nkind = \"lifo\"").field, "queue.kind");
  EXPECT_EQ(refused("[queue]\nname = \"a/b\"").field, "queue.name");
  EXPECT_EQ(refused("[queue]\nmax_in_flight = 5000000000").field, "queue.max_in_flight");
  EXPECT_EQ(refused("[queue]\nvisibility_timeout = 0").field, "queue.visibility_timeout");
  EXPECT_EQ(refused("[limits]\nmax_key_bytes = 600").field, "limits.max_key_bytes");
  EXPECT_EQ(refused("[limits]\nmax_payload = \"8 MB\"").field, "limits.max_payload");
  EXPECT_EQ(refused("[archive]\nschedule = \"61 * * * *\"").field, "archive.schedule");
  EXPECT_EQ(refused("[archive]\nretry_after = 9\nretry_cap = 1").field, "archive.retry_cap");
  EXPECT_EQ(refused("[archive]\nbusy_percent = 101").field, "archive.busy_percent");
  EXPECT_EQ(refused("[archive]\nbusy_percent = 0").field, "archive.busy_percent");
  EXPECT_EQ(refused("[archive]\nrate = -1").field, "archive.rate");
  EXPECT_EQ(refused("[archive]\ntime_zone = \"Mars/Olympus\"").field, "archive.time_zone");
  EXPECT_EQ(refused("[flows.o]\nfoo = 1").message, "x.toml:2: flows.o.foo: unknown key");
  EXPECT_NE(refused("[server\n").message.find("x.toml:1"), std::string::npos);
  EXPECT_EQ(load_config("/nonexistent/setget.toml").error().code(), ErrorCode::kNotFound);
}

TEST_F(OpenStores, a_folder_is_no_file_to_read_from) {
  const auto config = load_config(".");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(config.error().field(), ".");
  const auto flows = load_flows(".");
  ASSERT_FALSE(flows);
  EXPECT_EQ(flows.error().code(), ErrorCode::kInvalidArgument);
}

TEST(Config, counts_of_threads_have_a_limit) {
  EXPECT_EQ(refused("[worker]\nthreads = 1000000000").message, "x.toml:2: worker.threads: must be at most 1024, not 1000000000");
  EXPECT_EQ(refused("[server]\nthreads = 1025").message, "x.toml:2: server.threads: must be at most 1024, not 1025");
  EXPECT_EQ(refused("[archive]\nread_threads = 65").message, "x.toml:2: archive.read_threads: must be at most 64, not 65");
  const auto most = parse_config("[worker]\nthreads = 1024\n[server]\nthreads = 1024\n[archive]\nread_threads = 64");
  ASSERT_TRUE(most) << most.error().describe();
  EXPECT_EQ(most->pipeline.worker_threads, 1024U);
  EXPECT_EQ(most->http.threads, 1024U);
}

TEST_F(OpenStores, sqlite_holds_everything_in_one_file) {
  const auto stores = open_stores(Config{});
  ASSERT_TRUE(stores.has_value()) << stores.error().describe();
  EXPECT_TRUE(exists("setget.db"));
  EXPECT_FALSE(exists("setget-queue.db"));
  EXPECT_EQ(stores->durability, Durability::kDisk);
  EXPECT_EQ(stores->queue.name(), "records");
  EXPECT_NE(stores->archive, nullptr);
  EXPECT_NE(stores->schedules, nullptr);
  EXPECT_NE(stores->idempotency, nullptr);
  EXPECT_NE(stores->key_store.backend()->fused_with(*stores->queue.backend()), nullptr);
}

TEST_F(OpenStores, of_a_queue_that_is_there_only_what_was_said_is_changed) {
  const auto stored = [] {
    auto stores = open_stores(Config{});
    return stores.value().queue.backend()->list().value().at(0).options;
  };
  const auto open_with = [](std::string_view toml) {
    const auto config = parse_config(toml);
    ASSERT_TRUE(config) << config.error().describe();
    ASSERT_TRUE(open_stores(*config));
  };
  open_with("[queue]\nretention = \"90d\"\nmax_receives = 0\ndedup_window = \"1d\"\n[limits]\nmax_payload = \"32MiB\"");
  auto expected = stored();
  EXPECT_EQ(expected.retention, std::chrono::hours(24 * 90));
  EXPECT_EQ(expected.max_receives, 0U);
  EXPECT_EQ(expected.dedup_window, std::chrono::hours(24));
  EXPECT_EQ(expected.max_message_bytes, std::size_t{33} << 20);
  open_with("");
  EXPECT_EQ(stored(), expected);
  open_with("[queue]\nmax_receives = 5\ndelay = 0");  // the default, and said
  expected.max_receives = 5;
  EXPECT_EQ(stored(), expected);
  // A host that fills the structure itself says what it sets to something else than the default, or names.
  Config host;
  host.queue_options.max_in_flight = 7;
  host.queue_said = {"retention"};
  ASSERT_TRUE(open_stores(host));
  expected.max_in_flight = 7;
  expected.retention = QueueOptions{}.retention;
  EXPECT_EQ(stored(), expected);
  host.queue_options.kind = QueueKind::kStandard;
  EXPECT_EQ(open_stores(host).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(stored(), expected);
}

// Two processes that start at once: each may find no queue, and neither may put defaults in the place of what the other said.
TEST_F(OpenStores, of_a_queue_that_another_makes_at_that_moment_only_what_was_said_is_changed) {
  const auto mine = parse_config("[queue]\nretention = \"90d\"").value();
  const auto others = parse_config("[queue]\nmax_receives = 9").value();
  {
    const setget_test::AfterLook other([&] { open_stores(others).value(); });
    ASSERT_TRUE(open_stores(mine));
    // Nobody gets in where looking and writing are one step.
    if (!other.came()) open_stores(others).value();
  }
  const QueueOptions both{.retention = std::chrono::hours(24 * 90), .max_receives = 9};
  EXPECT_EQ(open_stores(Config{}).value().queue.backend()->list().value().at(0).options, both);
}

TEST_F(OpenStores, who_only_looks_neither_makes_a_queue_nor_changes_one) {
  Config looks;
  looks.queue_as_it_is = true;
  auto stores = open_stores(looks).value();
  EXPECT_TRUE(stores.queue.backend()->list().value().empty());
  EXPECT_EQ(stores.queue.stats().error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(open_stores(Config{}));
  EXPECT_TRUE(stores.queue.stats());
  looks.queue_options.max_receives = 9;
  stores = open_stores(looks).value();
  EXPECT_EQ(stores.queue.backend()->list().value().at(0).options, QueueOptions{});
}

TEST_F(OpenStores, a_file_named_twice_is_opened_once) {
  Config config;
  config.store = "sqlite:one.db";
  config.queue = "sqlite:./one.db";
  const auto stores = open_stores(config);
  ASSERT_TRUE(stores.has_value()) << stores.error().describe();
  EXPECT_NE(stores->key_store.backend()->fused_with(*stores->queue.backend()), nullptr);
}

TEST_F(OpenStores, a_store_that_forgets_gets_a_queue_file_beside_it) {
  Config config;
  config.store = "memory:";
  const auto stores = open_stores(config);
  ASSERT_TRUE(stores.has_value()) << stores.error().describe();
  EXPECT_TRUE(exists("setget-queue.db"));
  EXPECT_EQ(stores->queue.backend()->capabilities().durability, Durability::kDisk);
  EXPECT_EQ(stores->durability, Durability::kMemory);
  EXPECT_NE(stores->archive, nullptr);
}

TEST_F(OpenStores, memory_for_all_leaves_no_file_behind) {
  Config config;
  config.store = "memory:";
  config.queue = "memory:";
  config.archive = "none";
  const auto stores = open_stores(config);
  ASSERT_TRUE(stores.has_value()) << stores.error().describe();
  EXPECT_TRUE(std::filesystem::is_empty("."));
  EXPECT_EQ(stores->archive, nullptr);
  EXPECT_NE(stores->idempotency, nullptr);
  const auto options = pipeline_options(config, *stores);
  EXPECT_EQ(options.durability, Durability::kMemory);
}

TEST_F(OpenStores, an_archive_may_have_a_file_of_its_own) {
  Config config;
  config.archive = "sqlite:archive.db";
  ASSERT_TRUE(open_stores(config).has_value());
  EXPECT_TRUE(exists("archive.db"));
}

TEST_F(OpenStores, the_configuration_makes_a_pipeline) {
  auto config = parse_config("[queue]\nname = \"q\"\n[ttl]\ndefault = 60\n[archive]\nread_through = true");
  ASSERT_TRUE(config.has_value());
  const auto stores = open_stores(*config);
  ASSERT_TRUE(stores.has_value());
  auto pipeline = Pipeline::create(pipeline_options(*config, *stores));
  ASSERT_TRUE(pipeline.has_value()) << pipeline.error().describe();
  EXPECT_EQ((*pipeline)->options().durability, Durability::kDisk);
  EXPECT_TRUE((*pipeline)->options().read_through);
  EXPECT_EQ((*pipeline)->options().queue.name(), "q");
  EXPECT_EQ((*pipeline)->ttl_policy().resolve("a", "b", std::nullopt).ttl, Ttl::after(std::chrono::seconds(60)));
}

// Nothing moves the outbox here: what its limit lets in is applied, and the rest waits in the queue.
TEST_F(OpenStores, the_outbox_of_the_store_has_the_limits_of_the_configuration) {
  for (const std::string limit : {"outbox_states = 2", "outbox_bytes = 40"}) {
    for (const std::string store : {"sqlite:store.db", "memory:"}) {
      std::filesystem::remove("store.db");
      auto config = parse_config("[store]\nuri = \"" + store + "\"\n" + limit + "\n[flows.orders]\nhistory = true");
      ASSERT_TRUE(config) << config.error().describe();
      const auto stores = open_stores(*config);
      ASSERT_TRUE(stores) << stores.error().describe();
      auto& backend = *stores->key_store.backend();
      std::size_t applied = 0;
      for (Stamp stamp = 1; stamp <= 4; ++stamp) {
        ApplyEntry entry;
        entry.command.id = "r";
        entry.command.keys = KeyList({"k"});
        entry.command.account = "acme";
        entry.command.flow = "orders";
        entry.command.payload = Payload(std::string(30, 'x') + std::to_string(stamp));
        entry.encoded = encode_command(entry.command);
        entry.stamp = stamp_at(system_clock()->now()) + stamp;
        entry.history = true;
        const auto results = backend.apply({.entries = std::span(&entry, 1), .now = system_clock()->now()});
        const bool full = results && !results->front() && results->front().error().code() == ErrorCode::kResourceExhausted;
        EXPECT_TRUE(full || (results && results->front()));
        applied += full ? 0 : 1;
      }
      EXPECT_GE(applied, 1u) << limit << " " << store;
      EXPECT_LE(applied, 2u) << limit << " " << store;
    }
  }
}

TEST_F(OpenStores, no_error_shows_a_password) {
  Config config;
  for (const char* uri :
       {"reddis://u:geheim@h", "redis//u:geheim@h", "redis://u:geheim@h:port", "redis://u:geheim@h?pool=x", "redis://u:gehe im@"}) {
    config.store = uri;
    const auto stores = open_stores(config);
    ASSERT_FALSE(stores) << uri;
    EXPECT_EQ(stores.error().describe().find("gehe"), std::string::npos) << stores.error().describe();
  }
  config.store = "memory:";
  config.archive = "redis://u:geheim@127.0.0.1:1?connect_timeout=50ms";
  EXPECT_EQ(refused(config).message.find("geheim"), std::string::npos) << refused(config).message;
  EXPECT_EQ(refused(config).field, "archive");
}

TEST_F(OpenStores, uris_that_cannot_be_opened_say_what_can) {
  const auto store = [](const char* uri) {
    Config config;
    config.store = uri;
    return config;
  };
  const auto unknown = open_stores(store("etcd://localhost"));
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(unknown.error().message().substr(0, 59), "etcd: is not built in; this build knows sqlite:PATH, memory");
  EXPECT_EQ(unknown.error().field(), "store");
  EXPECT_EQ(refused(store("mongodb://localhost")).field, "store");
  const auto file = refused(store("setget.db")).message;
  EXPECT_EQ(file.substr(0, 71), "\"setget.db\": a store is named by a URI; this build knows sqlite:PATH, m");
  EXPECT_NE(file.find(" (a file: \"sqlite:setget.db\")"), std::string::npos) << file;
  EXPECT_EQ(refused(store("sqlite:")).field, "store");
  EXPECT_EQ(refused(store("sqlite://setget.db")).field, "store");
  EXPECT_EQ(refused(store("memory:x")).field, "store");
  Config config;
  config.archive = "mongodb+srv://x";
  EXPECT_EQ(refused(config).field, "archive");
  config.archive.clear();
  config.queue = "sqs://x";
  EXPECT_EQ(refused(config).field, "queue");
  EXPECT_EQ(refused(store("sqlite:no/such/folder/x.db")).field, "store");
}
