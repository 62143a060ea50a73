// setget-server put together: stores, pipeline, a gateway for producers and consumers, one for operators, and the HTTP server.
#pragma once

#include <memory>
#include <mutex>
#include <setget/gateway.hpp>
#include <setget/http.hpp>
#include <setget/pipeline.hpp>
#include <string>

#include "options.hpp"

namespace setget_server {

class Server {
 public:
  static setget::Result<std::unique_ptr<Server>> start(const Options& options, std::shared_ptr<setget::Logger> logger);
  // One line for people and scripts.
  std::string where() const;
  // Reads accounts, flows, routes and their schemas again. On an error the old ones stay.
  setget::Result<void> reload();
  // Takes no more work, finishes what is there, in the order in which requests need each other's parts.
  setget::Result<void> drain(setget::Deadline deadline);

 private:
  Server() = default;
  setget::Result<void> open_gateways(const setget::Config& config, std::shared_ptr<setget::IdempotencyStore> idempotency,
                                     std::shared_ptr<setget::PrometheusMetrics> metrics);
  setget::Result<void> open_doors(setget::Config& config, std::shared_ptr<setget::PrometheusMetrics> metrics);

  std::string config_path_;
  std::mutex reload_mutex_;
  std::string host_, admin_host_;
  std::shared_ptr<setget::Logger> logger_;
  std::unique_ptr<setget::Pipeline> pipeline_;
  std::unique_ptr<setget::Gateway> public_, admin_;
  std::unique_ptr<setget::HttpServer> http_;
};

}  // namespace setget_server
