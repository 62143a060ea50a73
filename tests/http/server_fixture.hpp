// An HttpServer in this process over a memory pipeline whose worker runs.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <setget/http.hpp>
#include <setget/memory.hpp>
#include <string>

#include "http/raw_client.hpp"

namespace setget_test {

class HttpTest : public ::testing::Test {
 protected:
  void open(setget::HttpServerOptions options = {}) {
    server_.reset();
    gateway_.reset();
    pipeline_.reset();
    auto database = setget::memory::open();
    ASSERT_TRUE(database);
    setget::PipelineOptions parts;
    parts.queue = database->queue("records");
    parts.key_store = decorate_ ? decorate_(database->key_store()) : database->key_store();
    parts.durability = setget::Durability::kMemory;
    parts.archive = archive_;
    parts.archive_schedule = "";
    parts.read_through = archive_ != nullptr;
    parts.through = through_;
    parts.linger = setget::Milliseconds(0);
    auto pipeline = setget::Pipeline::create(std::move(parts));
    ASSERT_TRUE(pipeline) << pipeline.error().describe();
    pipeline_ = *std::move(pipeline);
    ASSERT_TRUE(pipeline_->start());
    setget::GatewayOptions gateway;
    gateway.pipeline = pipeline_.get();
    gateway.admin_routes = true;
    auto made = setget::Gateway::create(std::move(gateway));
    ASSERT_TRUE(made);
    gateway_ = *std::move(made);
    setget::HttpListener listener;
    listener.port = 0;
    listener.gateway = gateway_.get();
    options.listeners = {listener};
    if (options.threads == 0) options.threads = 4;
    auto server = setget::HttpServer::create(std::move(options));
    ASSERT_TRUE(server) << server.error().describe();
    server_ = *std::move(server);
    ASSERT_TRUE(server_->start());
  }
  std::uint16_t port() const { return server_->port(); }

  static std::string envelope(const std::string& key, const std::string& payload = "1") {
    return R"({"keys":[")" + key + R"("],"account":"acme","flow":"f","payload":)" + payload + "}";
  }
  // Sets and waits until it is applied.
  void set(RawClient& client, const std::string& key, const std::string& payload = "1") {
    const auto accepted = client.request("POST", "/v1/records", envelope(key, payload), "Content-Type: application/json\r\n");
    ASSERT_TRUE(accepted);
    ASSERT_EQ(accepted->status, 202) << accepted->body;
    const auto applied = client.request("GET", accepted->headers.at("location") + "?wait=20s");
    ASSERT_TRUE(applied);
    ASSERT_NE(applied->body.find("\"applied\""), std::string::npos) << applied->body;
  }

  std::function<setget::KeyStore(setget::KeyStore)> decorate_;  // nothing: the plain one
  std::shared_ptr<setget::ArchiveBackend> archive_;             // nothing: no archive; else gets fall back to it
  setget::ReadThroughOptions through_{};
  std::unique_ptr<setget::Pipeline> pipeline_;
  std::unique_ptr<setget::Gateway> gateway_;
  std::unique_ptr<setget::HttpServer> server_;
};

}  // namespace setget_test
