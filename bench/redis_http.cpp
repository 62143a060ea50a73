// GET by key over HTTP, 32 keep-alive connections: setget's server on a store in Redis against webdis on plain keys with the same payloads
// on the same Redis server, driven by wrk.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <setget/gateway.hpp>
#include <setget/http.hpp>

#include "bench/benches.hpp"
#include "bench/http_client.hpp"
#include "bench/load.hpp"
#include "bench/redis_server.hpp"

namespace bench {

namespace {

constexpr std::uint64_t kRecords = 50'000;
constexpr std::uint64_t kHot = 1'000;
constexpr std::size_t kBytes = 1024;
constexpr std::size_t kConnections = 32;

class Served {
 public:
  Served(const setget::Config& config, const setget::Stores& stores) {
    auto options = setget::pipeline_options(config, stores);
    pipeline_ = must(setget::Pipeline::create(std::move(options)), "making the pipeline");
    setget::GatewayOptions gateway;
    gateway.pipeline = pipeline_.get();
    gateway_ = must(setget::Gateway::create(std::move(gateway)), "making the gateway");
    setget::HttpListener listener;
    listener.port = 0;
    listener.gateway = gateway_.get();
    setget::HttpServerOptions server;
    server.listeners.push_back(listener);
    server_ = must(setget::HttpServer::create(std::move(server)), "binding the server");
    must(server_->start(), "starting the server");
  }
  ~Served() { must(server_->stop(setget::Deadline::in(std::chrono::seconds(10))), "stopping the server"); }
  std::uint16_t port() const { return server_->port(); }

 private:
  std::unique_ptr<setget::Pipeline> pipeline_;
  std::unique_ptr<setget::Gateway> gateway_;
  std::unique_ptr<setget::HttpServer> server_;
};

// `before` and `after` stand around the key in a path. Answers a second; 0 where webdis or setget gave anything but 200.
// `records`: how many different ones are asked for.
double request_rate(const Settings& settings, bool with_wrk, std::uint16_t port, const std::string& before, const std::string& after,
                    std::uint64_t records = kRecords) {
  if (!with_wrk) {
    const auto make = [&](std::uint64_t n) {
      return "GET " + before + record_key(n * 7919 % records) + after + " HTTP/1.1\r\nHost: bench\r\n\r\n";
    };
    const auto start = Clock::now();
    const auto answers = http_load(port, kConnections, settings.seconds, make,
                                   [](std::uint64_t, int status, std::string_view body) { return status == 200 && body.size() == kBytes; });
    return static_cast<double>(answers) / seconds_since(start);
  }
  const auto printed = output_of(
      {"wrk", "-t1", "-c" + std::to_string(kConnections), "-d" + std::to_string(std::max(1, static_cast<int>(settings.seconds))) + "s",
       "-s", SETGET_BENCH_SOURCE "/records.lua", "http://127.0.0.1:" + std::to_string(port), "--", before, after, std::to_string(records)});
  constexpr std::string_view kTag = "answers per second: ";
  const auto at = printed ? printed->find(kTag) : std::string::npos;
  if (at == std::string::npos) fail("wrk gave no figures, or an answer was not 200");
  return std::strtod(printed->c_str() + at + kTag.size(), nullptr);
}

std::string webdis_configuration(const Settings& settings, std::uint16_t port, std::uint16_t redis) {
  const auto path = settings.folder / "webdis.json";
  // Threads and pool as the Debian package has them.
  std::ofstream(path) << R"({"redis_host": "127.0.0.1", "redis_port": )" << redis << R"(, "http_host": "127.0.0.1", "http_port": )" << port
                      << R"(, "threads": 5, "pool_size": 20, "daemonize": false, "websockets": false, "verbosity": 0, "logfile": ")"
                      << std::filesystem::absolute(settings.folder / "webdis.log").string() << R"("})";
  return path.string();
}

void wait_for(std::uint16_t port) {
  const auto start = Clock::now();
  while (!output_of({"sh", "-c", "curl -s -o /dev/null http://127.0.0.1:" + std::to_string(port) + "/PING"})) {
    if (seconds_since(start) > 10) fail("webdis did not start");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

void bench_redis_http(const Settings& settings, Report& report) {
  const bool with_wrk = is_installed("wrk");
  if (!with_wrk) std::printf("redis-http-get: no wrk, so the requests come from the bench itself\n");
  RedisServer server(settings);
  server.flush();
  setget::Config config;
  config.store = server.uri();
  config.queue = "memory:";
  config.archive = "none";
  auto stores = must(setget::open_stores(config), "opening the store");
  auto entries = make_entries({.bytes = kBytes, .keys = 1, .inline_id = true}, kRecords);
  for (std::size_t from = 0; from < entries.size(); from += 500) {
    const auto batch = std::span<const setget::ApplyEntry>(entries).subspan(from, std::min<std::size_t>(500, entries.size() - from));
    for (auto& result : must(stores.key_store.backend()->apply({.entries = batch, .now = setget::system_clock()->now()}), "apply")) {
      must(std::move(result), "apply");
    }
  }
  entries.clear();
  server.fill(kRecords, record_key, [](std::uint64_t n) { return sized_payload(n, kBytes); });

  const Served served(config, stores);
  auto cached_config = config;
  cached_config.redis.cache.enabled = true;
  const auto cached_stores = must(setget::open_stores(cached_config), "opening the store with a cache");
  const Served cached(cached_config, cached_stores);
  std::optional<Program> webdis;
  const auto webdis_port = free_port();
  if (is_installed("webdis")) {
    webdis.emplace(std::vector<std::string>{"webdis", webdis_configuration(settings, webdis_port, server.port())});
    wait_for(webdis_port);
  } else {
    std::printf("redis-http-get: no webdis (Debian: webdis), so there is nothing to compare with\n");
  }
  std::vector<Turn> turns, hot_turns;
  const auto theirs = [&](std::uint64_t records) {
    return webdis ? request_rate(settings, with_wrk, webdis_port, "/GET/", ".txt", records) : 0.0;
  };
  for (int trial = 0; trial < settings.trials; ++trial) {
    Turn turn{.theirs = theirs(kRecords)};
    turn.ours = request_rate(settings, with_wrk, served.port(), "/v1/records/", "");
    turns.push_back(turn);
    Turn hot{.theirs = theirs(kHot)};
    hot.ours = request_rate(settings, with_wrk, cached.port(), "/v1/records/", "", kHot);
    hot_turns.push_back(hot);
  }
  const auto add = [&](const char* name, const Turn& turn, double target, double aim) {
    Line line{.name = name, .value = turn.ours, .unit = "gets/s", .target = target, .aim = aim};
    if (webdis) line.baseline = turn.theirs;
    report.add(std::move(line));
  };
  add("redis-http-get", middle(turns), 1.5, 1.9);
  add("redis-http-get-cached", middle(hot_turns), 2.5, 3);
}

}  // namespace bench
