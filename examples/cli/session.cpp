#include "session.hpp"

#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>

namespace cli {

using setget::Deadline;
using setget::Error;
using setget::ErrorCode;
using setget::Result;

Result<setget::Config> resolve_config(const Common& common) {
  setget::Config config;
  if (!common.config.empty()) {
    auto loaded = setget::load_config(common.config);
    if (!loaded) return std::move(loaded).error();
    config = std::move(*loaded);
  }
  if (common.store) config.store = *common.store;
  if (common.queue) config.queue = *common.queue;
  if (common.archive) config.archive = *common.archive;
  if (common.ns) config.ns = *common.ns;
  if (common.read_through) config.read_through = true;
  return config;
}

// Where a store that is no file has its queue.
constexpr std::string_view kDefaultQueue = "setget-queue.db";

std::string sqlite_path(const std::string& uri) {
  constexpr std::string_view kScheme = "sqlite:";
  return uri.starts_with(kScheme) ? uri.substr(kScheme.size()) : std::string();
}

Result<void> archive_is_there(const Common& common) {
  auto config = resolve_config(common);
  if (!config) return std::move(config).error();
  // Where open_stores() looks for it.
  std::string uri = config->archive;
  if (uri.empty()) uri = config->store;
  if (config->archive.empty() && !config->store.starts_with("sqlite:") && !config->store.starts_with("memory:"))
    uri = config->queue.empty() ? "sqlite:" + std::string(kDefaultQueue) : config->queue;
  const std::string path = sqlite_path(uri);
  std::error_code unknown;
  if (path.empty() || std::filesystem::exists(path, unknown)) return {};
  return Error(ErrorCode::kNotFound, "there is no archive at " + path + " (`setget archive run` or setget-server makes one)")
      .at_field("archive");
}

Result<Session> Session::open(const Common& common, Missing missing, ArchiveUse archive, QueueUse queue) {
  auto config = resolve_config(common);
  if (!config) return std::move(config).error();
  const std::string path = sqlite_path(config->store);
  std::error_code unknown;
  // Of what cannot even be looked for, opening it says why.
  const bool there = path.empty() || std::filesystem::exists(path, unknown) || unknown;
  if (!there && missing == Missing::kPretend && !config->archive.empty()) {
    config->store = "memory:";
    config->queue = "memory:";
  } else if (!there && missing != Missing::kMake) {
    return Error(ErrorCode::kNotFound,
                 "there is no store at " + path + " (`setget set` or setget-server makes one; --store names another)");
  }
  // An empty queue stands in for a file that is not there, as commands that only look make none. Who uses the archive may have it there.
  const auto queue_path = config->queue.empty() && path.empty() ? std::string(kDefaultQueue) : sqlite_path(config->queue);
  if (missing != Missing::kMake && queue == QueueUse::kLooks && archive == ArchiveUse::kUnused && !queue_path.empty() &&
      !std::filesystem::exists(queue_path, unknown) && !unknown)
    config->queue = "memory:";
  // Such an archive holds neither schedules nor anything else that this process might look for.
  const bool on_a_server = config->archive.starts_with("mongodb:");
  if (on_a_server && archive == ArchiveUse::kUnused && !config->read_through && !config->flows.keeps_history()) config->archive = "none";
  config->queue_as_it_is = queue == QueueUse::kLooks;
  Session session;
  session.config_ = std::move(*config);
  auto stores = setget::open_stores(session.config_);
  if (!stores) return std::move(stores).error();
  session.stores_ = std::move(*stores);
  if (common.read_through && !session.stores_.archive) {
    return Error(ErrorCode::kFailedPrecondition, "there is no archive: name one with --archive or [archive] uri")
        .at_field("--read-through");
  }
  auto options = setget::pipeline_options(session.config_, session.stores_);
  auto pipeline = setget::Pipeline::create(std::move(options));
  if (!pipeline) return std::move(pipeline).error();
  session.pipeline_ = std::move(*pipeline);
  return session;
}

Result<std::string> Session::ns_of(const std::string& account) const {
  if (!config_.flows.isolate_accounts) return config_.ns;
  const auto refuse = [](std::string what) { return Error(ErrorCode::kInvalidArgument, std::move(what)).at_field("--account"); };
  if (account.empty()) return refuse("accounts are isolated here: name the one whose record it is");
  if (!config_.ns.empty() && config_.ns != account)
    return refuse("the namespace is \"" + config_.ns + "\", and accounts are isolated here");
  return account;
}

void Session::move_history() {
  auto* archiver = pipeline_->archiver();
  if (archiver == nullptr || !config_.flows.keeps_history()) return;
  const auto moved = archiver->move_history(Deadline::in(std::chrono::seconds(3)));
  if (!moved)
    std::fprintf(stderr, "warning: states of histories could not be moved into the archive: %s\n", moved.error().describe().c_str());
}

std::jthread Session::history_mover() {
  if (pipeline_->archiver() == nullptr || !config_.flows.keeps_history()) return {};
  move_history();
  return std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any ended;
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, stop, std::chrono::milliseconds(200), [&stop] { return stop.stop_requested(); })) move_history();
  });
}

Result<setget::MessageStatus> Session::finish(const std::string& message_id, Deadline deadline) {
  move_history();  // before anything is applied: the archive then knows since when there is a history
  while (true) {
    auto status = pipeline_->message(message_id);
    if (!status || status->outcome != setget::Outcome::kPending || deadline.passed()) return status;
    auto worked = pipeline_->worker().run_once();
    if (!worked) return std::move(worked).error();
    if (*worked > 0) continue;
    move_history();  // it may wait for room in the outbox
    // Somebody else holds it, or it waits for a retry: sleep until it is finished, but look again for work now and then.
    const auto step = std::min<Deadline::Steady::duration>(deadline.left(), std::chrono::milliseconds(200));
    auto waited = pipeline_->message(message_id, Deadline::in(step));
    if (!waited) return waited;
  }
}

Result<void> Session::drain(Deadline deadline) { return pipeline_->worker().flush(deadline); }

Result<setget::Milliseconds> parse_wait(const std::string& text) {
  auto ttl = setget::parse_ttl(text);
  if (!ttl) return std::move(ttl).error();
  if (ttl->is_never) return Error(ErrorCode::kInvalidArgument, "a wait needs an end").at_field("--wait");
  return ttl->length;
}

}  // namespace cli
