#include "mongo/archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "core/turns.hpp"
#include "mongo/chunks.hpp"
#include "mongo/cursors.hpp"
#include "mongo/history.hpp"
#include "mongo/names.hpp"
#include "mongo/reader.hpp"
#include "mongo/state_documents.hpp"
#include "mongo/writer.hpp"

namespace setget::inline v0::mongo {
namespace {

// Documents by their _id, as one of several filters.
Document one_of(std::span<const std::string> ids) {
  Document list;
  for (std::size_t i = 0; i < ids.size(); ++i) list.add_utf8(std::to_string(i), ids[i]);
  Document in;
  in.add_array("$in", list);
  Document filter;
  filter.add("_id", in);
  return filter;
}

// Tags: this and the mark of the document's state, or that it has none that is text.
constexpr char kMarked = '=';
constexpr std::string_view kUnmarked = "-";

class MongoArchive final : public ArchiveBackend {
 public:
  explicit MongoArchive(std::shared_ptr<Place> place) : place_(std::move(place)), writer_(place_), reader_(place_), history_(place_) {}

  ArchiveCapabilities capabilities() const override {
    return {.durability = place_->clients().address().journal ? Durability::kDisk : Durability::kMemory,
            .read_by_key = true,
            .quarantine = true,
            .history = true};
  }

  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    reader_.forget_ahead();
    auto written = writer_.write(request);
    reader_.forget_ahead();  // of a scan that began meanwhile
    return written;
  }
  Result<std::vector<Lookup>> get(const GetRecords& request) override { return reader_.get(request); }
  Result<Lookup> get_by_id(const GetById& request) override { return reader_.get_by_id(request); }
  Result<SummaryPage> scan(const ScanArchive& request) override { return reader_.scan(request); }

  Result<std::size_t> reclaim(const ReclaimArchive& request) override {
    reader_.forget_ahead();
    const auto deadline = request.deadline;
    const auto from = place_->call(deadline, [&](mongoc_client_t* client) { return load_purge_from(*place_, client, deadline); });
    if (!from) return from.error();
    const bool may_be_due = *from && **from <= request.now;
    std::size_t steps = 0;
    while (may_be_due && steps < request.max_steps) {
      const auto limit = std::min(request.max_steps - steps, place_->options().batch);
      auto done = place_->call(deadline, [&](mongoc_client_t* client) { return purge(client, request.now, limit, deadline); });
      if (!done) return done;
      steps += *done;
      if (*done < limit) break;
    }
    if (auto swept = sweep(deadline); !swept) return std::move(swept).error();
    auto dropped = history_.reclaim(request, request.max_steps - steps);
    if (!dropped) return dropped;
    return steps + *dropped;
  }

  Result<std::size_t> remove(std::span<const ArchiveId> ids) override {
    reader_.forget_ahead();
    const auto deadline = own_deadline();
    std::size_t removed = 0;
    for (std::size_t at = 0; at < ids.size(); at += place_->options().batch) {
      std::vector<std::string> names;
      for (const auto& id : ids.subspan(at, std::min(place_->options().batch, ids.size() - at))) names.push_back(document_id(id.ns, id.id));
      auto done = place_->call(deadline, [&](mongoc_client_t* client) { return remove_those(client, one_of(names), deadline); });
      if (!done) return done;
      removed += *done;
    }
    return removed;
  }

  Result<std::string> tag(const GetById& request) override {
    return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<std::string> {
      Document filter;
      filter.add_utf8("_id", document_id(request.ns, request.id));
      Document fields;
      fields.add("record.mark", std::int32_t{1});
      Document options;
      options.add("projection", fields);
      auto tag = place_->find_one(client, place_->documents(), filter, options, false, request.deadline,
                                  [](const bson_t* document) -> Result<std::string> {
                                    const auto mark = find(document, "record.mark");
                                    const auto text = mark ? mark->text() : std::nullopt;
                                    return text ? kMarked + std::string(*text) : std::string(kUnmarked);
                                  });
      if (!tag) return std::move(tag).error();
      return std::move(*tag).value_or(std::string());
    });
  }

  // The mark is in the filter: the server compares it in the step that removes.
  Result<std::size_t> remove_tagged(const RemoveTagged& request) override {
    reader_.forget_ahead();
    std::size_t removed = 0;
    for (const auto& [ns, id, tag] : request.documents) {
      Document filter;
      filter.add_utf8("_id", document_id(ns, id));
      if (tag.starts_with(kMarked)) {
        filter.add_utf8("record.mark", std::string_view(tag).substr(1));
      } else if (tag == kUnmarked) {
        Document any_text;
        any_text.add_utf8("$gte", "");
        Document none;
        none.add("$not", any_text);
        filter.add("record.mark", none);
      } else {
        continue;
      }
      auto done = place_->call(request.deadline, [&](mongoc_client_t* client) { return remove_those(client, filter, request.deadline); });
      if (!done) return done;
      removed += *done;
    }
    return removed;
  }

  Result<std::optional<ArchiveCheckpoint>> load_checkpoint() override { return load_checkpoint_within(own_deadline()); }
  Result<std::optional<ArchiveCheckpoint>> load_checkpoint_within(Deadline deadline) override {
    return mongo::load_checkpoint(*place_, deadline);
  }
  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override { return save_checkpoint_within(checkpoint, own_deadline()); }
  Result<void> save_checkpoint_within(const ArchiveCheckpoint& checkpoint, Deadline deadline) override {
    return mongo::save_checkpoint(*place_, checkpoint, deadline);
  }

  Result<ArchiveStats> stats() override { return stats_within(own_deadline()); }
  Result<ArchiveStats> stats_within(Deadline deadline) override {
    return place_->call(deadline, [&](mongoc_client_t* client) -> Result<ArchiveStats> {
      Document all;
      all.add_utf8("count", place_->documents());
      auto total = count(client, all, deadline);
      if (!total) return std::move(total).error();
      // The values that there are, and not $exists: some servers count what is missing by an index that is sparse.
      Document reasons;
      std::size_t at = 0;
      for (const auto reason : {TombstoneReason::kErased, TombstoneReason::kSuperseded, TombstoneReason::kExpired}) {
        reasons.push_text(at++, to_string(reason));
      }
      Document in;
      in.add_array("$in", reasons);
      Document query;
      query.add("record.gone", in);
      Document some;
      some.add_utf8("count", place_->documents()).add("query", query);
      auto tombstones = count(client, some, deadline);
      if (!tombstones) return std::move(tombstones).error();
      auto quarantined = count_quarantine(*place_, client, deadline);
      if (!quarantined) return std::move(quarantined).error();
      ArchiveStats stats{
          .records = *total - std::min(*total, *tombstones), .tombstones = *tombstones, .bytes = 0, .quarantined = *quarantined};
      for (const auto& name : {place_->documents(), place_->chunks()}) stats.bytes += size_of(client, name, deadline);
      if (auto known = history_.add_to(stats, client, deadline); !known) return std::move(known).error();
      return stats;
    });
  }

  Result<std::vector<RangeDigest>> digest(const DigestArchive& request) override { return reader_.digest(request); }

  Result<void> quarantine(std::span<const QuarantinedEntry> entries) override { return quarantine_within(entries, own_deadline()); }
  Result<void> quarantine_within(std::span<const QuarantinedEntry> entries, Deadline deadline) override {
    return put_in_quarantine(*place_, entries, deadline);
  }
  Result<QuarantinePage> quarantined(const ListQuarantine& request) override { return list_quarantine(*place_, request); }
  Result<std::size_t> release(std::span<const ArchiveId> ids) override { return release_within(ids, own_deadline()); }
  Result<std::size_t> release_within(std::span<const ArchiveId> ids, Deadline deadline) override {
    return release_from_quarantine(*place_, ids, deadline);
  }

  Result<std::size_t> write_history(const WriteHistory& request) override { return history_.write(request); }
  Result<HistoryLookup> get_history(const GetHistory& request) override { return history_.get(request); }
  Result<SummaryPage> scan_history(const ScanHistory& request) override { return history_.scan(request); }
  Result<std::string> history_of() override { return history_of_within(own_deadline()); }
  Result<std::string> history_of_within(Deadline deadline) override {
    return place_->call(deadline, [&](mongoc_client_t* client) { return history_.of(client, deadline); });
  }

 private:
  Deadline own_deadline() const { return place_->clients().own_deadline(); }

  Result<std::size_t> erase(mongoc_client_t* client, const Document& filter, Deadline deadline) {
    const auto documents = place_->collection(client, place_->documents());
    Reply reply;
    bson_error_t error{};
    if (!mongoc_collection_delete_many(documents.get(), filter.raw(), nullptr, reply.fill(), &error)) return call_error(error, deadline);
    return static_cast<std::size_t>(integer_or(reply.raw(), "deletedCount", 0));
  }

  // Up to `limit` of what purge_at has passed; their pieces have the same time and go with them.
  Result<std::size_t> purge(mongoc_client_t* client, TimePoint now, std::size_t limit, Deadline deadline) {
    Document due;
    due.add_date("$lte", now);
    Document filter;
    filter.add("record.purge_at", due).add("_id", any_text());
    Document fields;
    for (const auto* name : {"record.pieces", "record.mark"}) fields.add(name, std::int32_t{1});
    Document options;
    options.add("projection", fields).add("limit", static_cast<std::int64_t>(limit));
    std::vector<std::string> ids;
    std::vector<BodyName> with_pieces;
    auto found = place_->find(client, place_->documents(), filter, options, false, deadline, [&](const bson_t* document) -> Result<void> {
      ids.push_back(text_or_empty(document, "_id"));
      if (integer_or(document, "record.pieces", 0) > 0)
        with_pieces.push_back({.id = ids.back(), .mark = text_or_empty(document, "record.mark")});
      return {};
    });
    if (!found) return std::move(found).error();
    if (ids.empty()) return std::size_t{0};
    auto those = one_of(ids);
    those.add("record.purge_at", due);  // one that was rewritten meanwhile stays
    auto erased = erase(client, those, deadline);
    if (!erased || with_pieces.empty()) return erased;
    if (auto dropped = drop_pieces(*place_, client, with_pieces, deadline); !dropped) return std::move(dropped).error();
    return erased;
  }

  // Pieces go after their documents: a write that brings the next ones meanwhile keeps them. What a process leaves that dies in between is
  // swept up later.
  Result<std::size_t> remove_those(mongoc_client_t* client, const Document& filter, Deadline deadline) {
    Document fields;
    for (const auto* name : {"record.pieces", "record.mark"}) fields.add(name, std::int32_t{1});
    Document options;
    options.add("projection", fields);
    std::vector<BodyName> with_pieces;
    auto found = place_->find(client, place_->documents(), filter, options, false, deadline, [&](const bson_t* document) -> Result<void> {
      if (integer_or(document, "record.pieces", 0) > 0)
        with_pieces.push_back({.id = text_or_empty(document, "_id"), .mark = text_or_empty(document, "record.mark")});
      return {};
    });
    if (!found) return std::move(found).error();
    auto erased = erase(client, filter, deadline);
    if (!erased || with_pieces.empty()) return erased;
    if (auto dropped = drop_pieces(*place_, client, with_pieces, deadline); !dropped) return std::move(dropped).error();
    return erased;
  }

  // A few pieces at each reclaim, so that what crashes left goes in the end.
  Result<void> sweep(Deadline deadline) {
    const auto turn = sweeping_.take(deadline);
    if (!turn) return Error(ErrorCode::kDeadlineExceeded, "another call still sweeps up pieces");
    const auto some = [&](mongoc_client_t* client) { return sweep_pieces(*place_, client, sweep_position_, 100, deadline); };
    const bool from_the_beginning = sweep_position_.empty();
    auto swept = place_->call(deadline, some);
    // What reached the end goes on at the beginning.
    return swept && !from_the_beginning && sweep_position_.empty() ? place_->call(deadline, some) : swept;
  }

  Result<std::uint64_t> count(mongoc_client_t* client, const Document& command, Deadline deadline) {
    Reply reply;
    if (auto done = place_->command(client, place_->database().c_str(), command, reply, deadline); !done) return std::move(done).error();
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_or(reply.raw(), "n", 0)));
  }

  // 0 where the server does not tell.
  std::uint64_t size_of(mongoc_client_t* client, const std::string& collection, Deadline deadline) {
    Document command;
    command.add_utf8("collStats", collection);
    Reply reply;
    if (!place_->command(client, place_->database().c_str(), command, reply, deadline)) return 0;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_or(reply.raw(), "size", 0)));
  }

  std::shared_ptr<Place> place_;
  Writer writer_;
  Reader reader_;
  History history_;
  setget::detail::Turns sweeping_;
  // Processes that sweep once, and end, shall not all look at the same pieces.
  std::string sweep_position_ = fmt::format("{:016x}", std::random_device{}() * std::uint64_t{0x9e3779b97f4a7c15});
};

}  // namespace

std::shared_ptr<ArchiveBackend> make_archive(std::shared_ptr<Place> place) { return std::make_shared<MongoArchive>(std::move(place)); }

}  // namespace setget::inline v0::mongo
