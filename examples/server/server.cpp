#include "server.hpp"

#include <algorithm>
#include <setget/config.hpp>
#include <utility>

namespace setget_server {
namespace {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

constexpr std::size_t kAdminThreads = 4;
constexpr std::size_t kDefaultThreads = 32;  // what HttpServerOptions::threads = 0 is
constexpr std::size_t kMostWaiters = 24;

std::string url(const std::string& host, std::uint16_t port) {
  return "http://" + (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Options& options, std::shared_ptr<setget::Logger> logger) {
  setget::Config config = options.config;
  const auto metrics = std::make_shared<setget::PrometheusMetrics>();
  auto stores = setget::open_stores(config, {}, logger, metrics);
  if (!stores) return std::move(stores).error();
  logger->log(setget::LogLevel::kInfo,
              "stores are open; in brackets what each survives: disk = power loss, memory = no restart of what holds it",
              {{"stores", stores->summary}});
  auto parts = setget::pipeline_options(config, *stores);
  parts.logger = logger;
  parts.metrics = metrics;

  std::unique_ptr<Server> server(new Server());
  server->config_path_ = options.config_path;
  server->logger_ = logger;
  auto pipeline = setget::Pipeline::create(parts);
  if (!pipeline) return std::move(pipeline).error();
  server->pipeline_ = *std::move(pipeline);
  if (auto opened = server->open_gateways(config, stores->idempotency, metrics); !opened) return std::move(opened).error();
  if (auto opened = server->open_doors(config, metrics); !opened) return std::move(opened).error();
  if (auto started = server->pipeline_->start(); !started) return std::move(started).error();
  if (auto started = server->http_->start(); !started) return std::move(started).error();
  return server;
}

Result<void> Server::open_gateways(const setget::Config& config, std::shared_ptr<setget::IdempotencyStore> idempotency,
                                   std::shared_ptr<setget::PrometheusMetrics> metrics) {
  setget::GatewayOptions options;
  options.pipeline = pipeline_.get();
  options.idempotency = std::move(idempotency);
  auto hooks = setget::hook_routes(config);
  if (!hooks) return std::move(hooks).error();
  options.hooks = *std::move(hooks);
  // Who waits for an outcome holds a thread: half of them are left for those who do not.
  options.max_waiters = std::min(kMostWaiters, (config.http.threads == 0 ? kDefaultThreads : config.http.threads) / 2);
  auto gateway = setget::Gateway::create(options);
  if (!gateway) return std::move(gateway).error();
  public_ = *std::move(gateway);

  options.public_routes = false;
  options.hooks.clear();
  options.admin_routes = true;
  options.metrics_text = [metrics] { return metrics->expose(); };
  if (!config_path_.empty()) options.reload = [this] { return reload(); };
  auto admin = setget::Gateway::create(std::move(options));
  if (!admin) return std::move(admin).error();
  admin_ = *std::move(admin);
  return {};
}

Result<void> Server::open_doors(setget::Config& config, std::shared_ptr<setget::PrometheusMetrics> metrics) {
  setget::HttpServerOptions options = config.http;
  options.logger = logger_;
  options.metrics = std::move(metrics);
  auto listener = setget::parse_listener(config.listen);
  if (!listener) return std::move(listener).error();
  host_ = listener->host;
  listener->gateway = public_.get();
  listener->ns = config.ns;
  options.listeners = {*listener};
  if (!config.admin_listen.empty()) {
    auto admin = setget::parse_listener(config.admin_listen);
    if (!admin) return std::move(admin).error();
    admin_host_ = admin->host;
    admin->gateway = admin_.get();
    admin->ns = config.ns;
    admin->threads = kAdminThreads;
    options.listeners.push_back(*admin);
    if (!is_loopback(admin_host_))
      logger_->log(setget::LogLevel::kWarning, "the admin listener is open to other machines and asks nobody who they are",
                   {{"admin_listen", config.admin_listen}});
  }
  auto http = setget::HttpServer::create(std::move(options));
  if (!http) return std::move(http).error();
  http_ = *std::move(http);
  return {};
}

std::string Server::where() const {
  std::string line = "setget-server listening on " + url(host_, http_->port(0));
  if (!admin_host_.empty()) line += " admin " + url(admin_host_, http_->port(1));
  return line;
}

Result<void> Server::reload() {
  const std::lock_guard lock(reload_mutex_);  // a signal and a request may come at once
  if (config_path_.empty()) return pipeline_->reload(Error(ErrorCode::kFailedPrecondition, "there is no --config to read again"));
  // What is wrong is handed to the pipeline too: it keeps its flows, logs and counts.
  auto config = setget::load_config(config_path_);
  if (!config) return pipeline_->reload(std::move(config).error());
  auto hooks = setget::hook_routes(*config);
  if (!hooks) return pipeline_->reload(std::move(hooks).error());
  // Both or neither: what the pipeline will refuse is found before the routes change, what is wrong with them before the flows do.
  if (auto kept = pipeline_->options().check_history(config->flows); !kept) return pipeline_->reload(std::move(kept).error());
  if (auto set = public_->set_hooks(*std::move(hooks)); !set) return pipeline_->reload(std::move(set).error());
  return pipeline_->reload(std::move(config->flows));
}

Result<void> Server::drain(setget::Deadline deadline) {
  public_->set_draining();
  admin_->set_draining();
  // An archive run that an operator asked for may have hours to go; the next one goes on where it stopped.
  if (auto* archiver = pipeline_->archiver(); archiver != nullptr) archiver->cancel();
  // The worker needs some of the time too.
  auto closed = http_->stop(setget::Deadline::in(deadline.left() / 5 * 4));
  if (!closed) logger_->log(setget::LogLevel::kWarning, "requests were cut", {{"error", closed.error().describe()}});
  auto stopped = pipeline_->stop(deadline);
  if (!stopped) return std::move(stopped).error();
  if (stopped->left_leased != 0)
    logger_->log(setget::LogLevel::kWarning, "messages come back when their leases end",
                 {{"messages", std::to_string(stopped->left_leased)}});
  return {};
}

}  // namespace setget_server
