// The whole set path over HTTP with 32 keep-alive connections, against the same path called in process by 32 threads.
#include <memory>
#include <string>

#include <setget/gateway.hpp>
#include <setget/http.hpp>

#include "bench/benches.hpp"
#include "bench/http_client.hpp"
#include "bench/load.hpp"

namespace bench {

namespace {

constexpr std::size_t kConnections = 32;

class Served {
 public:
  explicit Served(setget::Pipeline& pipeline) {
    setget::GatewayOptions gateway;
    gateway.pipeline = &pipeline;
    gateway_ = must(setget::Gateway::create(std::move(gateway)), "making the gateway");
    setget::HttpServerOptions server;
    setget::HttpListener listener;
    listener.port = 0;
    listener.gateway = gateway_.get();
    server.listeners.push_back(listener);
    server_ = must(setget::HttpServer::create(std::move(server)), "binding the server");
    must(server_->start(), "starting the server");
  }
  ~Served() { must(server_->stop(setget::Deadline::in(std::chrono::seconds(10))), "stopping the server"); }
  std::uint16_t port() const { return server_->port(); }

 private:
  std::unique_ptr<setget::Gateway> gateway_;
  std::unique_ptr<setget::HttpServer> server_;
};

std::string envelope(std::uint64_t n) {
  return R"({"keys":[")" + key(n) + R"("],"account":"bench","flow":"orders","payload":)" + payload(n) + "}";
}

std::string post(const std::string& target, const std::string& body) {
  return "POST " + target + " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

double over_http(const Settings& settings, std::size_t per_call) {
  Candidate candidate(settings);
  Served served(candidate.pipeline());
  const auto make = [&](std::uint64_t n) {
    if (per_call == 1) return post("/v1/records", envelope(n));
    std::string body = "[";
    for (std::size_t i = 0; i < per_call; ++i) body += (i == 0 ? "" : ",") + envelope(n * per_call + i);
    return post("/v1/records:batch", body + "]");
  };
  const int expected = per_call == 1 ? 202 : 200;
  const auto start = Clock::now();
  const std::uint64_t calls = http_load(served.port(), kConnections, settings.seconds, make,
                                        [&](std::uint64_t, int status, std::string_view) { return status == expected; });
  candidate.drain(calls * per_call);
  return static_cast<double>(calls * per_call) / seconds_since(start);
}

double in_process(const Settings& settings, std::size_t per_call) {
  Candidate candidate(settings);
  const auto start = Clock::now();
  const std::uint64_t sets = produce(candidate.pipeline(), kConnections, per_call, 0, settings.seconds, 0);
  candidate.drain(sets);
  return static_cast<double>(sets) / seconds_since(start);
}

double gets_over_http(const Settings& settings) {
  constexpr std::uint64_t kRecords = 10'000;
  Candidate candidate(settings);
  candidate.drain(produce(candidate.pipeline(), 16, 100, 0, 0, kRecords));
  Served served(candidate.pipeline());
  const auto make = [](std::uint64_t n) { return "GET /v1/records?key=" + key(n * 7919 % kRecords) + " HTTP/1.1\r\nHost: bench\r\n\r\n"; };
  const auto start = Clock::now();
  const std::uint64_t calls =
      http_load(served.port(), kConnections, settings.seconds, make,
                [](std::uint64_t n, int status, std::string_view body) { return status == 200 && body == payload(n * 7919 % kRecords); });
  return static_cast<double>(calls) / seconds_since(start);
}

}  // namespace

void bench_http(const Settings& settings, Report& report) {
  std::vector<double> inner1, inner10, http1, http10, gets;
  for (int trial = 0; trial < settings.trials; ++trial) {
    inner1.push_back(in_process(settings, 1));
    http1.push_back(over_http(settings, 1));
    inner10.push_back(in_process(settings, 10));
    http10.push_back(over_http(settings, 10));
    gets.push_back(gets_over_http(settings));
  }
  report.add({.name = "http-set-32x1", .value = median(http1), .unit = "sets/s", .baseline = median(inner1), .target = 0.6});
  report.add({.name = "http-set-32x10", .value = median(http10), .unit = "sets/s", .baseline = median(inner10), .target = 0.6});
  report.add({.name = "http-get-32", .value = median(gets), .unit = "gets/s"});
}

}  // namespace bench
