// Histories on MongoDB: one document for each state, in a collection beside the archive's. docs/adr/0021-history.md says what a state is,
// history_codec.hpp how it is written. Thread rule: any thread.
#pragma once

#include <limits>
#include <memory>
#include <mutex>
#include <optional>

#include "mongo/place.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::mongo {

class History {
 public:
  explicit History(std::shared_ptr<Place> place) : place_(std::move(place)) {}

  // Not one step on the server: what was begun is finished by the call that repeats it, and changes no answer before.
  Result<std::size_t> write(const WriteHistory& request);
  Result<HistoryLookup> get(const GetHistory& request);
  Result<SummaryPage> scan(const ScanHistory& request);
  // By age, then by space; at most `limit` states. Returns how many.
  Result<std::size_t> reclaim(const ReclaimArchive& request, std::size_t limit);
  Result<void> add_to(ArchiveStats& stats, mongoc_client_t* client, Deadline deadline);
  // Empty: of nothing.
  Result<std::string> of(mongoc_client_t* client, Deadline deadline);

 private:
  class Writing;
  struct Known;  // the document that says what the histories can tell
  struct Doomed;

  Result<std::optional<Known>> known(mongoc_client_t* client, Deadline deadline);
  Result<std::optional<TimePoint>> known_from(mongoc_client_t* client, Deadline deadline);
  Result<void> forget_before(mongoc_client_t* client, TimePoint moment, Deadline deadline);
  // That processes of ours look after it, and since when nobody has.
  Result<void> look_after(mongoc_client_t* client, const Known& known, TimePoint now, Deadline deadline);
  Result<std::vector<Doomed>> find_doomed(mongoc_client_t* client, const Document& filter, const char* by, std::size_t limit,
                                          Deadline deadline);
  Result<void> drop(mongoc_client_t* client, std::span<const Doomed> states, Deadline deadline);
  Result<std::size_t> drop_old(mongoc_client_t* client, TimePoint now, std::size_t limit, Deadline deadline);
  Result<std::size_t> drop_first(mongoc_client_t* client, std::uint64_t max_bytes, std::size_t limit, Deadline deadline);
  struct Totals {
    std::uint64_t states = 0;
    std::uint64_t bytes = 0;
  };
  Result<Totals> totals(mongoc_client_t* client, Deadline deadline);
  // As above, of a while ago and with what this process did since, unless that is more than `believed_up_to`: then it is asked for.
  Result<std::uint64_t> bytes_about(mongoc_client_t* client, Deadline deadline,
                                    std::uint64_t believed_up_to = std::numeric_limits<std::uint64_t>::max());
  void note_bytes(std::int64_t change);

  Result<HistoryLookup> by_id(mongoc_client_t* client, const GetHistory& request, Deadline deadline);
  Result<HistoryLookup> by_key(mongoc_client_t* client, const GetHistory& request, Deadline deadline);

  std::shared_ptr<Place> place_;
  std::mutex mutex_;
  std::optional<std::int64_t> bytes_{};
  Deadline bytes_until_ = Deadline::immediate();
};

}  // namespace setget::inline v0::mongo
