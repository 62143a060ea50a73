#include "mongo/clients.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <thread>

namespace setget::inline v0::mongo {
namespace {

Error bad_uri(std::string rule) { return Error(ErrorCode::kInvalidArgument, fmt::format("mongo option uri {}", rule)).at_field("uri"); }

// Only these hosts and this database: user, password and options stay out of sight.
std::string shown_of(const mongoc_uri_t* uri, std::string_view database) {
  std::string hosts;
  for (const auto* host = mongoc_uri_get_hosts(uri); host != nullptr; host = host->next) {
    if (!hosts.empty()) hosts += ',';
    hosts += host->host_and_port;
  }
  return fmt::format("mongodb://{}/{}", hosts, database);
}

// Forwards what the driver did to Metrics. Names of commands come from a list, so that the number of series has a bound.
std::string_view known_command(const char* name) {
  constexpr std::array<std::string_view, 16> kKnown = {
      "find",  "getMore",  "insert",    "update",       "delete", "count",       "createIndexes", "listIndexes",
      "hello", "isMaster", "collStats", "serverStatus", "drop",   "killCursors", "getParameter",  "ping"};
  const auto* const found = std::ranges::find(kKnown, std::string_view(name));
  return found == kKnown.end() ? "other" : *found;
}

void count(Metrics& metrics, const char* command, std::int64_t microseconds, std::string_view result) {
  const auto name = known_command(command);
  metrics.add("setget_mongo_commands_total", 1, {{"command", name}, {"result", result}});
  metrics.observe("setget_mongo_command_seconds", static_cast<double>(microseconds) / 1e6, {{"command", name}});
}

extern "C" void setget_mongo_succeeded(const mongoc_apm_command_succeeded_t* event) {
  count(*static_cast<Metrics*>(mongoc_apm_command_succeeded_get_context(event)), mongoc_apm_command_succeeded_get_command_name(event),
        mongoc_apm_command_succeeded_get_duration(event), "ok");
}
extern "C" void setget_mongo_failed(const mongoc_apm_command_failed_t* event) {
  count(*static_cast<Metrics*>(mongoc_apm_command_failed_get_context(event)), mongoc_apm_command_failed_get_command_name(event),
        mongoc_apm_command_failed_get_duration(event), "failed");
}

// The driver keeps its counters in shared memory under this name, and a process that is killed would leave them there.
void drop_counters_file() noexcept { ::shm_unlink(fmt::format("/mongoc-{}", ::getpid()).c_str()); }

// Where the driver was built to start itself when it is loaded, it has made that file by now, also if nobody asks for it later.
[[maybe_unused]] const bool kNoCountersFile = (drop_counters_file(), true);

}  // namespace

void start_driver() {
  static const bool started = [] {
    mongoc_init();
    drop_counters_file();
    // Callers get their errors; what else it says goes to stderr otherwise.
    mongoc_log_set_handler(nullptr, nullptr);
    return true;
  }();
  (void)started;
}

Result<Address> read_uri(const Options& options) {
  if (options.uri.starts_with("mongodb+srv://")) {
    return Error(ErrorCode::kUnsupported,
                 "mongodb+srv:// is not supported: it needs lookups that have no deadline. Name the hosts: "
                 "mongodb://HOST,HOST,HOST/DATABASE?replicaSet=NAME&tls=true")
        .at_field("uri");
  }
  if (!options.uri.starts_with("mongodb://")) return bad_uri("must begin with mongodb://");
  bson_error_t ignored;  // its text may quote the URI
  Address out;
  out.uri.reset(mongoc_uri_new_with_error(options.uri.c_str(), &ignored));
  if (!out.uri) return bad_uri("is not one that the driver understands; user, password and values must be percent-encoded");
  auto* uri = out.uri.get();
  const char* database = mongoc_uri_get_database(uri);
  out.database = database == nullptr || *database == '\0' ? "setget" : database;
  if (std::ranges::any_of(out.database, [](char c) { return std::string_view("/\\. \"$*<>:|?").find(c) != std::string_view::npos; })) {
    return bad_uri("names a database with a character that MongoDB does not allow");
  }
  out.shown = shown_of(uri, out.database);

  const auto* given = mongoc_uri_get_write_concern(uri);
  if (mongoc_write_concern_get_w(given) == 0) return bad_uri("must not say w=0: an archive has to know that it was written");
  const bool w_given = mongoc_write_concern_get_w(given) != MONGOC_WRITE_CONCERN_W_DEFAULT;
  auto* concern = mongoc_write_concern_copy(given);
  if (!w_given) mongoc_write_concern_set_w(concern, MONGOC_WRITE_CONCERN_W_MAJORITY);
  if (!mongoc_write_concern_journal_is_set(concern)) mongoc_write_concern_set_journal(concern, true);
  out.journal = mongoc_write_concern_get_journal(concern);
  out.acknowledged_by_majority = mongoc_write_concern_get_wmajority(concern);
  mongoc_uri_set_write_concern(uri, concern);
  mongoc_write_concern_destroy(concern);
  if (!mongoc_uri_has_option(uri, MONGOC_URI_CONNECTTIMEOUTMS)) {
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, static_cast<std::int32_t>(options.connect_timeout.count()));
  }
  if (!mongoc_uri_has_option(uri, MONGOC_URI_APPNAME)) mongoc_uri_set_appname(uri, "setget");
  return out;
}

Clients::Clients(Address address, Options options) : address_(std::move(address)), options_(std::move(options)) {}
Clients::~Clients() = default;

Result<std::unique_ptr<Client>> Clients::make() {
  auto client = std::make_unique<Client>();
  client->line.connect_timeout = options_.connect_timeout;
  bson_error_t error{};
  client->handle.reset(mongoc_client_new_from_uri_with_error(address_.uri.get(), &error));
  if (!client->handle) {
    return Error(ErrorCode::kInvalidArgument, "the driver cannot use this URI; see its options for TLS and authentication").at_field("uri");
  }
  mongoc_client_set_error_api(client->handle.get(), MONGOC_ERROR_API_VERSION_2);
  keep_deadlines(client->handle.get(), &client->line);
  if (options_.metrics) {
    client->callbacks.reset(mongoc_apm_callbacks_new());
    mongoc_apm_set_command_succeeded_cb(client->callbacks.get(), setget_mongo_succeeded);
    mongoc_apm_set_command_failed_cb(client->callbacks.get(), setget_mongo_failed);
    mongoc_client_set_apm_callbacks(client->handle.get(), client->callbacks.get(), options_.metrics.get());
  }
  return client;
}

Result<std::unique_ptr<Client>> Clients::borrow(Deadline deadline) {
  const auto too_late = [] {
    return Error(ErrorCode::kDeadlineExceeded, "the deadline passed before a connection to the archive was free");
  };
  std::unique_lock lock(mutex_);
  const auto is_free = [this] { return in_use_ < options_.connections; };
  if (deadline.passed()) return too_late();
  if (!is_free() && !free_.wait_until(lock, deadline.time(), is_free)) return too_late();
  ++in_use_;
  if (!idle_.empty()) {
    auto client = std::move(idle_.back());
    idle_.pop_back();
    return client;
  }
  lock.unlock();
  try {
    auto made = make();
    if (!made) give_back(nullptr, false);
    return made;
  } catch (...) {
    give_back(nullptr, false);
    throw;
  }
}

void Clients::give_back(std::unique_ptr<Client> client, bool sound) {
  {
    const std::lock_guard lock(mutex_);
    --in_use_;
    if (sound) idle_.push_back(std::move(client));
  }
  free_.notify_one();
  // An unsound one ends here, outside of the lock: closing may take a moment.
}

bool Clients::pause(std::uint32_t attempt, Deadline deadline) {
  const auto wait = Milliseconds(50) * (1u << std::min(attempt, 5u));
  if (deadline.left() <= wait) return false;
  std::this_thread::sleep_for(wait);
  return true;
}

}  // namespace setget::inline v0::mongo
