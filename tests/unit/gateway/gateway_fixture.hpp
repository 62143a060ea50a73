// A gateway over a memory pipeline that runs only when a test says so, under a simulated clock.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <nlohmann/json.hpp>
#include <setget/gateway.hpp>
#include <setget/memory.hpp>
#include <setget/testing/clock.hpp>
#include <string>
#include <utility>

namespace setget_test {

using Headers = std::vector<std::pair<std::string, std::string>>;
using nlohmann::json;

class GatewayTest : public ::testing::Test {
 protected:
  void SetUp() override { open({}); }

  void open(setget::GatewayOptions options, setget::Flows flows = {}, setget::Limits limits = {}) {
    gateway_.reset();
    pipeline_.reset();
    clock_ = std::make_shared<setget::testing::SimulatedClock>();
    auto database = setget::memory::open({.clock = clock_, .random = std::make_shared<setget::testing::SeededRandom>(7)});
    ASSERT_TRUE(database) << database.error().describe();
    setget::PipelineOptions parts;
    parts.queue = decorate_queue_ ? decorate_queue_(database->queue("records")) : database->queue("records");
    parts.key_store = decorate_ ? decorate_(database->key_store()) : database->key_store();
    parts.archive = decorate_archive_ ? decorate_archive_(database->archive()) : database->archive();
    parts.read_through = decorate_archive_ != nullptr;
    parts.through.timeout = setget::Milliseconds(60'000);
    parts.durability = setget::Durability::kMemory;
    parts.flows = std::move(flows);
    parts.limits = limits;
    parts.clock = clock_;
    parts.linger = setget::Milliseconds(0);
    auto pipeline = setget::Pipeline::create(std::move(parts));
    ASSERT_TRUE(pipeline) << pipeline.error().describe();
    pipeline_ = *std::move(pipeline);
    options.pipeline = pipeline_.get();
    options.admin_routes = true;
    auto gateway = setget::Gateway::create(std::move(options));
    ASSERT_TRUE(gateway) << gateway.error().describe();
    gateway_ = *std::move(gateway);
  }

  setget::GatewayResponse call(std::string method, std::string target, std::string body = {}, Headers headers = {}) {
    if (!body.empty()) headers.emplace_back("content-length", std::to_string(body.size()));
    return gateway_->handle({std::move(method), std::move(target), std::move(headers), setget::Payload(std::move(body)), ns_});
  }
  setget::GatewayResponse set(const std::string& envelope, Headers headers = {}) {
    headers.emplace_back("Content-Type", "application/json");
    return call("POST", "/v1/records", envelope, std::move(headers));
  }
  // Applies everything that was accepted.
  void drain() {
    for (;;) {
      auto received = pipeline_->run_once();
      ASSERT_TRUE(received) << received.error().describe();
      if (*received == 0) return;
    }
  }
  void set_now(const std::string& envelope) {
    const auto response = set(envelope);
    ASSERT_EQ(response.status, 202) << response.body.view();
    drain();
  }

  static std::string header(const setget::GatewayResponse& response, const std::string& name) {
    for (const auto& [field, value] : response.headers)
      if (field == name) return value;
    return {};
  }
  static json body_of(const setget::GatewayResponse& response) { return json::parse(response.body.view()); }
  // "code pointer" of each violation.
  static std::vector<std::string> violations(const setget::GatewayResponse& response) {
    std::vector<std::string> found;
    const json body = body_of(response);
    for (const auto& one : body.at("violations"))
      found.push_back(one.at("code").get<std::string>() + " " + one.at("pointer").get<std::string>());
    return found;
  }

  std::function<setget::Queue(setget::Queue)> decorate_queue_;  // nothing: the plain one
  std::function<setget::KeyStore(setget::KeyStore)> decorate_;  // nothing: the plain one
  // Nothing: the plain one, and gets do not fall back to it.
  std::function<std::shared_ptr<setget::ArchiveBackend>(std::shared_ptr<setget::ArchiveBackend>)> decorate_archive_;
  std::shared_ptr<setget::testing::SimulatedClock> clock_;
  std::unique_ptr<setget::Pipeline> pipeline_;
  std::unique_ptr<setget::Gateway> gateway_;
  std::string ns_;
};

inline std::string envelope(const std::string& fields) {
  return R"({"keys":["order/42"],"account":"acme","flow":"orders",)" + fields + "}";
}

}  // namespace setget_test
