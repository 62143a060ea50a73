#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mongo/archive.hpp"
#include "mongo/doctor.hpp"
#include "mongo/errors.hpp"
#include "mongo/place.hpp"

#include <setget/mongo.hpp>

namespace setget::inline v0::mongo {

struct Database::State {
  std::shared_ptr<Place> place;
  std::shared_ptr<ArchiveBackend> archive;
};

Result<void> Options::validate() const {
  const auto bad = [](const char* field, const char* rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("mongo option {} {}", field, rule)).at_field(field);
  };
  if (uri.empty()) return bad("uri", "is required");
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (collection.empty() || collection.size() > 64 || !std::ranges::all_of(collection, allowed) || collection.front() == '.' ||
      collection.back() == '.' || collection.starts_with("system.")) {
    return bad("collection", "must be 1 to 64 of [A-Za-z0-9._-], without a dot at either end, and not begin with system.");
  }
  if (batch < 1 || batch > 100'000) return bad("batch", "must be 1 to 100000");
  if (batch_bytes < (64u << 10) || batch_bytes > (40u << 20)) return bad("batch_bytes", "must be 64 KiB to 40 MiB");
  if (max_inline_bytes < (1u << 10) || max_inline_bytes > (12u << 20)) return bad("max_inline_bytes", "must be 1 KiB to 12 MiB");
  if (connections < 2 || connections > 256) return bad("connections", "must be 2 to 256");
  if (connect_timeout < Milliseconds(10) || connect_timeout > Milliseconds(60'000))
    return bad("connect_timeout", "must be 10 ms to a minute");
  if (timeout < Milliseconds(100) || timeout > Milliseconds(3'600'000)) return bad("timeout", "must be 100 ms to an hour");
  if (retries > 20) return bad("retries", "must be at most 20");
  // The driver reads it. Started before, because what it says of a URI while its log is on goes to stderr, with the password.
  if (init_driver) start_driver();
  if (auto address = read_uri(*this); !address) return std::move(address).error();
  return {};
}

std::shared_ptr<ArchiveBackend> Database::archive() { return state_->archive; }

Result<std::vector<Finding>> Database::doctor(Deadline deadline) { return examine(*state_->place, deadline); }

Result<void> Database::drop(Deadline deadline) {
  auto& place = *state_->place;
  return place.clients().call(deadline, [&](mongoc_client_t* client) -> Result<void> {
    for (const auto& name : {place.documents(), place.chunks(), place.state(), place.history(), place.history_chunks()}) {
      const auto collection = place.collection(client, name);
      bson_error_t error{};
      // 26: it is not there. Some servers say so only in words.
      if (!mongoc_collection_drop(collection.get(), &error) && error.code != 26 &&
          std::string_view(error.message).find("ns not found") == std::string_view::npos) {
        return call_error(error, deadline);
      }
    }
    return {};
  });
}

Result<Database> open(Options options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  auto address = read_uri(options);
  if (!address) return std::move(address).error();
  auto state = std::make_shared<Database::State>();
  state->place = std::make_shared<Place>(std::make_shared<Clients>(*std::move(address), std::move(options)));
  const auto& kept = state->place->options();
  state->archive = make_archive(state->place);
  auto ready = state->place->ready(Deadline::in(std::max(kept.connect_timeout * 2, Milliseconds(5'000))));
  // Away, or too slow just now: the first call tries again.
  if (!ready && !ready.error().retryable()) return std::move(ready).error();
  if (!ready && kept.logger) {
    kept.logger->log(LogLevel::kWarning, "the archive's server cannot be reached yet",
                     {{"archive", state->place->clients().address().shown}, {"error", ready.error().message()}});
  }
  return Database(std::move(state));
}

}  // namespace setget::inline v0::mongo
