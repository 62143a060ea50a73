// A bulk in at most three exchanges: which of the documents are there, and how new (one find); inserts for those that are not (one bulk);
// replacements for those that are older, each guarded by the order that was seen (one bulk). What another writer did meanwhile shows as a
// duplicate key or as a replacement that met nothing, and is looked at again. So nothing older replaces anything newer, a call whose answer
// was lost can be repeated, and servers that stop a bulk of updates at its first duplicate key (FerretDB) do no harm.
#include "mongo/writer.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "mongo/chunks.hpp"
#include "mongo/errors.hpp"

namespace setget::inline v0::mongo {

struct Writer::Work {
  enum class Plan : std::uint8_t { kLook, kInsert, kReplace };
  Prepared document;
  Plan plan = Plan::kLook;
  bool unknown = false;         // it was sent, and what came of it was not said: what is there with our order is ours
  bool fresh = false;           // it was inserted
  std::int64_t old_pieces = 0;  // of the document that is replaced
  std::string old_order{};      // of it: what replaces it is told apart from what another writer put there
  std::optional<Result<ArchiveWrite>> result{};

  std::size_t bytes() const { return document.whole.bytes() + document.change.bytes(); }
};

namespace {

// How often a bulk is looked at again because of other writers. They are rare: one runner archives at a time.
constexpr int kRounds = 8;

}  // namespace

// One attempt at a bulk on one client.
class Writer::Bulk {
 public:
  Bulk(Place& place, mongoc_client_t* client, std::vector<Work>& works, Deadline deadline)
      : place_(place), client_(client), works_(works), deadline_(deadline), documents_(place.collection(client, place.documents())) {}

  Result<void> go(bool insert_first) {
    if (insert_first) {
      for (auto& work : works_) {
        if (!work.result && work.plan == Work::Plan::kLook) work.plan = Work::Plan::kInsert;
      }
    }
    for (int round = 0; round < kRounds; ++round) {
      if (auto looked = look(); !looked) return looked;
      if (auto sent = send(Work::Plan::kInsert); !sent) return sent;
      if (auto sent = send(Work::Plan::kReplace); !sent) return sent;
      if (std::ranges::all_of(works_, [](const Work& work) { return work.result.has_value(); })) return {};
    }
    for (auto& work : works_) {
      if (!work.result) work.result = Error(ErrorCode::kConflict, "other writers change the document all the time");
    }
    return {};
  }

 private:
  // What the server has of those that are still undecided.
  Result<void> look() {
    std::unordered_map<std::string_view, Work*> asked;
    Document ids;
    for (auto& work : works_) {
      if (work.result || work.plan != Work::Plan::kLook) continue;
      ids.add_utf8(std::to_string(asked.size()), work.document.id);
      asked.emplace(work.document.id, &work);
      work.plan = Work::Plan::kInsert;
    }
    if (asked.empty()) return {};
    Document in;
    in.add_array("$in", ids);
    Document filter;
    filter.add("_id", in);
    Document fields;
    fields.add("order", std::int32_t{1}).add("pieces", std::int32_t{1});
    Document options;
    options.add("projection", fields);
    return place_.find(client_, place_.documents(), filter, options, false, deadline_, [&](const bson_t* found) -> Result<void> {
      const auto at = asked.find(text_or_empty(found, "_id"));
      if (at == asked.end()) return {};
      auto& work = *at->second;
      const auto order = text_or_empty(found, "order");
      if (order.empty()) return corrupted("a document has no order");
      if (order < work.document.order) {
        work.plan = Work::Plan::kReplace;
        work.old_pieces = integer_or(found, "pieces", 0);
        work.old_order = order;
      } else {
        work.result = order == work.document.order && work.unknown ? ArchiveWrite::kWritten : ArchiveWrite::kOlder;
      }
      return {};
    });
  }

  static bool append(mongoc_bulk_operation_t* bulk, const Work& work, Work::Plan plan, bson_error_t* error) {
    if (plan == Work::Plan::kInsert) return mongoc_bulk_operation_insert_with_opts(bulk, work.document.whole.raw(), nullptr, error);
    // Both fields by their values: what is there is still what was looked at, and a server can find it by an index of just these.
    Document filter;
    filter.add_utf8("_id", work.document.id).add_utf8("order", work.old_order);
    return work.document.tombstone
               ? mongoc_bulk_operation_update_one_with_opts(bulk, filter.raw(), work.document.change.raw(), nullptr, error)
               : mongoc_bulk_operation_replace_one_with_opts(bulk, filter.raw(), work.document.whole.raw(), nullptr, error);
  }

  Result<void> send(Work::Plan plan) {
    std::vector<Work*> sent;
    Document options;
    options.add("ordered", false);
    const BulkHandle bulk(mongoc_collection_create_bulk_operation_with_opts(documents_.get(), options.raw()));
    for (auto& work : works_) {
      if (work.result || work.plan != plan) continue;
      bson_error_t error{};
      if (!append(bulk.get(), work, plan, &error)) {
        work.result = call_error(error, deadline_);
        continue;
      }
      work.plan = Work::Plan::kLook;  // should the answer get lost
      sent.push_back(&work);
    }
    if (sent.empty()) return {};
    if (plan == Work::Plan::kReplace) {
      if (auto ready = place_.ready_to_replace(client_, deadline_); !ready) return ready;
    }
    Reply reply;
    bson_error_t error{};
    const bool done = mongoc_bulk_operation_execute(bulk.get(), reply.fill(), &error) != 0;
    return settle(sent, plan, done, reply.raw(), error);
  }

  Result<void> settle(std::vector<Work*>& sent, Work::Plan plan, bool done, const bson_t* reply, const bson_error_t& error) {
    std::size_t refused = 0;
    bool explained = done;
    if (const auto errors = find(reply, "writeErrors")) {
      errors->each([&](const Value& one) {
        const auto at = one.find("index");
        const auto index = at ? at->integer().value_or(-1) : -1;
        if (index < 0 || static_cast<std::size_t>(index) >= sent.size()) return true;
        const auto number = one.find("code");
        const auto code = number ? number->integer().value_or(0) : 0;
        explained = explained || code == static_cast<std::int64_t>(error.code);
        ++refused;
        refuse(sent[static_cast<std::size_t>(index)], plan, code, one);
        return true;
      });
    }
    // The driver's error is that of the first refused document, unless the call as a whole went wrong.
    const auto leave_open = [&] {
      for (auto* work : sent) {
        if (work != nullptr) work->unknown = true;
      }
    };
    if (!explained) {
      leave_open();
      return call_error(error, deadline_);
    }
    if (auto confirmed = check_concern(reply); !confirmed) {
      leave_open();
      return confirmed;
    }
    const auto made = integer_or(reply, "nInserted", 0) + integer_or(reply, "nMatched", 0);
    // Fewer than that: others were there before us, or the server stopped. What came of each is looked at.
    if (static_cast<std::size_t>(made) + refused != sent.size()) {
      leave_open();
      return {};
    }
    for (auto* work : sent) {
      if (work == nullptr) continue;
      work->result = ArchiveWrite::kWritten;
      work->fresh = plan == Work::Plan::kInsert;
    }
    return {};
  }

  // One document that the server did not take.
  void refuse(Work*& work, Work::Plan plan, std::int64_t code, const Value& error) {
    Work& document = *work;
    work = nullptr;
    const auto text = error.find("errmsg");
    const std::string said(text ? text->bytes().value_or(std::string_view()) : std::string_view());
    // Somebody was there first: look again. Should another unique index be the reason, the document is not there afterwards.
    if (code == kDuplicateKey && plan == Work::Plan::kInsert && ++refusals_[&document] < kRounds / 2) return;
    document.result = server_error(code, said);
  }

  Result<void> check_concern(const bson_t* reply) const {
    const auto errors = find(reply, "writeConcernErrors");
    if (!errors) return {};
    Result<void> out;
    errors->each([&](const Value& one) {
      const auto text = one.find("errmsg");
      const auto number = one.find("code");
      // Whatever the reason, it was written and may stay: another try does no harm. Only what can never be satisfied is another matter.
      const bool never = number && number->integer() == 100;
      out = server_error(never ? 100 : 64, text ? text->bytes().value_or(std::string_view()) : std::string_view());
      return false;
    });
    return out;
  }

  Place& place_;
  mongoc_client_t* client_;
  std::vector<Work>& works_;
  Deadline deadline_;
  CollectionHandle documents_;
  std::unordered_map<const Work*, int> refusals_;
};

Result<void> Writer::carry_out(std::vector<Work>& works, Deadline deadline) {
  const bool insert_first = mostly_new_.load(std::memory_order_relaxed);
  return place_->call(deadline, [&](mongoc_client_t* client) -> Result<void> {
    // Pieces come before the document that they belong to: whoever finds it finds them.
    for (const auto& work : works) {
      if (work.result || work.document.pieces.empty()) continue;
      if (auto written = write_pieces(*place_, client, work.document, deadline); !written) return written;
    }
    if (auto done = Bulk(*place_, client, works, deadline).go(insert_first); !done) return done;
    for (const auto& work : works) {
      if (work.old_pieces == 0 && work.document.pieces.empty()) continue;
      if (auto dropped = drop_old_pieces(*place_, client, work.document.id, deadline); !dropped) return dropped;
    }
    return {};
  });
}

Result<std::vector<Result<ArchiveWrite>>> Writer::write(const WriteArchive& request) {
  const auto& options = place_->options();
  std::vector<std::optional<Result<ArchiveWrite>>> results(request.entries.size());
  std::vector<Work> works;
  std::unordered_set<std::string> ids;
  std::size_t bytes = 0;
  const auto flush = [&]() -> Result<void> {
    if (works.empty()) return {};
    if (auto done = carry_out(works, request.deadline); !done) return done;
    std::size_t fresh = 0;
    for (auto& work : works) {
      if (work.fresh) ++fresh;
      results[work.document.index] = *std::move(work.result);
    }
    mostly_new_.store(fresh * 10 >= works.size() * 9, std::memory_order_relaxed);
    works.clear();
    ids.clear();
    bytes = 0;
    return {};
  };
  for (std::size_t i = 0; i < request.entries.size(); ++i) {
    auto prepared = prepare(request.entries[i], options);
    if (!prepared) {
      results[i] = std::move(prepared).error();
      continue;
    }
    prepared->index = i;
    Work work{.document = *std::move(prepared)};
    const auto size = work.bytes();
    // Of two entries for one identity the second comes in a bulk of its own: the order within a bulk is the server's.
    const bool full = works.size() >= options.batch || bytes + size > options.batch_bytes || ids.contains(work.document.id);
    if (full) {
      if (auto flushed = flush(); !flushed) return std::move(flushed).error();
    }
    ids.insert(work.document.id);
    bytes += size;
    works.push_back(std::move(work));
  }
  if (auto flushed = flush(); !flushed) return std::move(flushed).error();
  std::vector<Result<ArchiveWrite>> out;
  out.reserve(results.size());
  for (auto& result : results) out.push_back(*std::move(result));
  return out;
}

}  // namespace setget::inline v0::mongo
