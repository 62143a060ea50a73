// Any request at all through Gateway::handle over the memory backend. First line of the input: "METHOD TARGET HEADER-BITS", the rest is the
// body. Held: no crash, every answer is well formed, every error is a problem with its status, and what was accepted is readable byte for
// byte.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <setget/gateway.hpp>
#include <setget/memory.hpp>
#include <setget/testing/clock.hpp>
#include <string>
#include <string_view>

namespace {

using namespace setget;

struct World {
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<Gateway> gateway;
};

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

World make_world() {
  auto clock = std::make_shared<testing::SimulatedClock>();
  auto database = memory::open({.clock = clock, .random = std::make_shared<testing::SeededRandom>(1)}).value();
  PipelineOptions parts;
  parts.queue = database.queue("records");
  parts.key_store = database.key_store();
  parts.archive = database.archive();
  parts.durability = Durability::kMemory;
  parts.clock = clock;
  parts.linger = Milliseconds(0);
  World world;
  world.pipeline = Pipeline::create(std::move(parts)).value();
  GatewayOptions options;
  options.pipeline = world.pipeline.get();
  options.admin_routes = true;
  options.max_wait = Milliseconds(0);
  world.gateway = Gateway::create(std::move(options)).value();
  return world;
}

World& world() {
  static World one = make_world();
  static int uses = 0;
  if (++uses % 2000 == 0) one = make_world();  // or the records of a long run would fill the memory
  return one;
}

GatewayRequest read_request(std::string_view input) {
  const std::string_view line = input.substr(0, input.find('\n'));
  GatewayRequest request;
  request.body = Payload::copy(line.size() < input.size() ? input.substr(line.size() + 1) : std::string_view());
  const std::size_t first = std::min(line.find(' '), line.size());
  const std::size_t second = std::min(line.find(' ', first + 1), line.size());
  request.method = line.substr(0, first);
  if (first < second) request.target = line.substr(first + 1, second - first - 1);
  const std::string_view bits = second < line.size() ? line.substr(second + 1) : std::string_view();
  for (const char bit : bits) {
    switch (bit) {
      case 'j':
        request.headers.emplace_back("Content-Type", "application/json");
        break;
      case 'n':
        request.headers.emplace_back("Content-Type", "application/x-ndjson");
        break;
      case 'i':
        request.headers.emplace_back("Idempotency-Key", std::string(bits));
        break;
      case 'm':
        request.headers.emplace_back("If-None-Match", "*");
        break;
      case 'M':
        request.headers.emplace_back("If-Match", std::string(bits));
        break;
      case 't':
        request.headers.emplace_back("traceparent", std::string(bits));
        break;
      case 'c':
        request.headers.emplace_back("Content-Type", std::string(bits));
        break;
      case 'l':
        request.headers.emplace_back("Content-Length", std::to_string(request.body.size()));
        break;
      default:
        break;
    }
  }
  return request;
}

void check(const GatewayResponse& response) {
  require(response.status >= 200 && response.status < 600, "status in range");
  require(response.status != 500, "no internal error");
  std::string_view type;
  for (const auto& [name, value] : response.headers) {
    if (name == "Content-Type") type = value;
    require(value.find_first_of("\r\n") == std::string::npos, "a header is one line");
  }
  if (response.status >= 400) require(type == "application/problem+json", "an error is a problem");
  if (type == "application/json" || type == "application/problem+json") {
    Limits limits;
    limits.max_depth = 1024;
    require(check_json(response.body.view(), limits).empty() || response.status == 200, "own JSON is JSON");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World& here = world();
  const auto request = read_request({reinterpret_cast<const char*>(data), size});
  const auto response = here.gateway->handle(request);
  check(response);
  if (request.method == "POST" && request.target == "/v1/records" && response.status == 202) {
    auto parsed = parse_envelope(request.body, {});
    require(parsed.has_value(), "what is accepted can be parsed");
    while (here.pipeline->run_once().value() != 0) {
    }
    if (!parsed->ttl && !parsed->version && !parsed->expected_version && parsed->id.empty() && request.headers.size() < 2) {
      for (const auto key : parsed->keys) {
        const auto found = here.pipeline->get(key).value();
        require(found && found->payload == parsed->payload, "what was accepted is readable under every key");
      }
    }
  }
  return 0;
}
