// A bulk is a merge: the parts of a document only ever rise (raise_of()), so an older write changes nothing, in whichever order writes
// come, and what is there need not be known before. One exchange: raises where documents are there, inserts in a first copy, which cost the
// server less. A look at what is there comes where the server's counts do not say what came of each document, after tombstones that rose,
// and before documents that may have pieces, which are to be dropped. A call whose answer was lost is made again as it was.
#include "mongo/writer.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <unordered_set>

#include "mongo/chunks.hpp"
#include "mongo/errors.hpp"
#include "mongo/state_documents.hpp"

namespace setget::inline v0::mongo {

struct Writer::Work {
  enum class Plan : std::uint8_t { kLook, kInsert, kRaise };
  Prepared document;
  Plan plan = Plan::kRaise;
  bool unknown = false;                      // it was sent, and what came of it was not said: it may be there already
  bool fresh = false;                        // it was new
  int duplicates = 0;                        // how often the server said that its _id, or another unique index, has something already
  std::optional<std::int64_t> old_pieces{};  // of the document that it rises over; empty until that was looked at
  std::optional<Result<ArchiveWrite>> result{};
};

namespace {

// How often a bulk is sent again because of other writers. They are rare: one runner archives at a time.
constexpr int kRounds = 8;
// How long it is believed that there are no pieces, once the server has said so.
constexpr std::chrono::seconds kNoPieces{10};

}  // namespace

// One attempt at a bulk on one client.
class Writer::Bulk {
 public:
  Bulk(Writer& writer, mongoc_client_t* client, std::vector<Work>& works, Deadline deadline)
      : writer_(writer),
        place_(*writer.place_),
        client_(client),
        works_(works),
        deadline_(deadline),
        documents_(place_.collection(client, place_.documents())) {}

  enum class Look : std::uint8_t { kDecide, kForPieces };

  Result<void> go(bool insert_first) {
    for (auto& work : works_) {
      if (insert_first && !work.unknown && work.duplicates == 0 && work.plan == Work::Plan::kRaise) work.plan = Work::Plan::kInsert;
    }
    for (int round = 0; round < kRounds; ++round) {
      if (auto looked = look(Look::kDecide); !looked) return looked;
      if (auto sent = send(Work::Plan::kInsert); !sent) return sent;
      if (auto checked = look_before_raising_over_pieces(); !checked) return checked;
      if (auto sent = send(Work::Plan::kRaise); !sent) return sent;
      if (std::ranges::all_of(works_, [](const Work& work) { return work.result.has_value(); })) return {};
    }
    for (auto& work : works_) {
      if (!work.result) work.result = Error(ErrorCode::kConflict, "other writers change the document all the time");
    }
    return {};
  }

 private:
  // What the server has of those that cannot be decided without; or whether what is there has pieces, and no more: nothing that was only
  // read is known to be as durable as what was written must be.
  Result<void> look(Look what) {
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
    for (const auto* name : {"format", "state.mark", "record.mark", "record.pieces"}) fields.add(name, std::int32_t{1});
    Document options;
    options.add("projection", fields);
    return place_.find(client_, place_.documents(), filter, options, false, deadline_, [&](const bson_t* found) -> Result<void> {
      const auto at = asked.find(text_or_empty(found, "_id"));
      if (at != asked.end()) decide(*at->second, found, what);
      return {};
    });
  }

  static void decide(Work& work, const bson_t* found, Look what) {
    if (auto known = check_format_of(found); !known) {
      work.result = std::move(known).error();
      return;
    }
    const auto& ours = work.document.mark;
    const auto state = text_or_empty(found, "state.mark");
    const auto newest = text_or_empty(found, "record.mark");
    const auto below = [&](const std::string& mark) { return order_in(mark) < order_in(ours); };
    // A late record below a tombstone still has its keys to give.
    const bool rises = below(newest) || (!work.document.tombstone && below(state));
    if (rises || what == Look::kForPieces) {
      work.plan = Work::Plan::kRaise;
      work.old_pieces = integer_or(found, "record.pieces", 0);
    } else {
      work.result = state == ours || newest == ours ? ArchiveWrite::kWritten : ArchiveWrite::kOlder;
    }
  }

  // Whether the documents below have pieces that are to be dropped is asked for now and then, and not of each while there are none at all.
  // What another process cuts into pieces in between is left to sweep_pieces().
  Result<void> look_before_raising_over_pieces() {
    const auto blind = [](const Work& work) { return !work.result && work.plan == Work::Plan::kRaise && !work.old_pieces; };
    if (std::ranges::none_of(works_, blind)) return {};
    if (!writer_.pieces_.load(std::memory_order_relaxed)) {
      const auto now = Deadline::Steady::now().time_since_epoch();
      if (now < writer_.no_pieces_until_.load(std::memory_order_relaxed)) return {};
      const auto any = any_pieces(place_, client_, deadline_);
      if (!any) return any.error();
      if (!*any) {
        writer_.no_pieces_until_.store(now + kNoPieces, std::memory_order_relaxed);
        return {};
      }
      writer_.pieces_.store(true, std::memory_order_relaxed);
    }
    for (auto& work : works_) {
      if (blind(work)) work.plan = Work::Plan::kLook;
    }
    return look(Look::kForPieces);
  }

  static bool append(mongoc_bulk_operation_t* bulk, const Work& work, Work::Plan plan, const Document& options, bson_error_t* error) {
    if (plan == Work::Plan::kInsert)
      return mongoc_bulk_operation_insert_with_opts(bulk, whole_of(work.document).raw(), options.raw(), error);
    // Nothing but _id: servers find the document by that.
    Document filter;
    filter.add_utf8("_id", work.document.id);
    return mongoc_bulk_operation_update_one_with_opts(bulk, filter.raw(), raise_of(work.document).raw(), options.raw(), error);
  }

  Result<void> send(Work::Plan plan) {
    std::vector<Work*> sent;
    Document options;
    options.add("ordered", false);
    const BulkHandle bulk(mongoc_collection_create_bulk_operation_with_opts(documents_.get(), options.raw()));
    for (auto& work : works_) {
      if (!work.result && work.plan == plan) sent.push_back(&work);
    }
    // The driver need not look through what prepare() has made: it has no name and no text that was not checked.
    Document each;
    each.add("validate", false);
    if (plan == Work::Plan::kRaise) each.add("upsert", true);
    // In the order of their _id, in which servers keep them: what stands together is looked up, and written back, together.
    std::ranges::sort(sent, {}, [](const Work* work) -> std::string_view { return work->document.id; });
    std::erase_if(sent, [&](Work* work) {
      bson_error_t error{};
      const bool appended = append(bulk.get(), *work, plan, each, &error);
      if (!appended) work->result = call_error(error, deadline_);
      work->plan = Work::Plan::kRaise;  // should the answer get lost
      return !appended;
    });
    if (sent.empty()) return {};
    Reply reply;
    bson_error_t error{};
    const bool done = mongoc_bulk_operation_execute(bulk.get(), reply.fill(), &error) != 0;
    return settle(sent, plan, done, reply.raw(), error);
  }

  Result<void> settle(std::vector<Work*>& sent, Work::Plan plan, bool done, const bson_t* reply, const bson_error_t& error) {
    bool explained = done;
    if (const auto errors = find(reply, "writeErrors")) {
      errors->each([&](const Value& one) {
        const auto at = one.find("index");
        const auto index = at ? at->integer().value_or(-1) : -1;
        if (index < 0 || static_cast<std::size_t>(index) >= sent.size()) return true;
        const auto number = one.find("code");
        const auto code = number ? number->integer().value_or(0) : 0;
        explained = explained || code == static_cast<std::int64_t>(error.code);
        auto*& work = sent[static_cast<std::size_t>(index)];
        if (work != nullptr) refuse(*work, plan, code, one);
        work = nullptr;
        return true;
      });
    }
    std::erase(sent, nullptr);
    // The driver's error is that of the first refused document, unless the call as a whole went wrong.
    auto went = explained ? check_concern(reply) : Result<void>(call_error(error, deadline_));
    if (!went) {
      for (auto* work : sent) work->unknown = true;
      return went;
    }
    if (plan == Work::Plan::kInsert) {
      settle_inserts(sent, reply);
    } else {
      settle_raises(sent, reply);
    }
    return {};
  }

  // Fewer than were sent: the server stopped. What came of each is looked at.
  static void look_at(const std::vector<Work*>& sent) {
    for (auto* work : sent) work->plan = Work::Plan::kLook;
  }

  static void settle_inserts(const std::vector<Work*>& sent, const bson_t* reply) {
    if (static_cast<std::size_t>(integer_or(reply, "nInserted", 0)) != sent.size()) return look_at(sent);
    for (auto* work : sent) {
      work->result = ArchiveWrite::kWritten;
      work->fresh = true;
    }
  }

  // The server says which were new, and of the others how many rose: unless that is all or none, only a look tells which.
  static void settle_raises(std::vector<Work*>& sent, const bson_t* reply) {
    const auto made = integer_or(reply, "nMatched", 0) + integer_or(reply, "nUpserted", 0);
    if (static_cast<std::size_t>(made) != sent.size()) return look_at(sent);
    std::unordered_set<std::string_view> created;
    if (const auto upserted = find(reply, "upserted")) {
      upserted->each([&](const Value& one) {
        // By its _id: FerretDB counts those that were new where the place in the bulk should be.
        if (const auto id = one.find("_id")) created.insert(id->bytes().value_or(std::string_view()));
        return true;
      });
    }
    for (auto* work : sent) {
      if (!created.contains(work->document.id)) continue;
      work->result = ArchiveWrite::kWritten;
      work->fresh = true;
    }
    std::erase_if(sent, [](const Work* work) { return work->result.has_value(); });
    const auto rose = integer_or(reply, "nModified", -1);
    if (rose != 0 && static_cast<std::size_t>(rose) != sent.size()) return look_at(sent);
    for (auto* work : sent) {
      // The first end of a document rises below a later record too, and what rose when its answer was lost rises no more.
      const bool unsaid = rose != 0 ? work->document.tombstone : work->unknown;
      if (unsaid) {
        work->plan = Work::Plan::kLook;
      } else {
        work->result = rose != 0 ? ArchiveWrite::kWritten : ArchiveWrite::kOlder;
      }
    }
  }

  // One document that the server did not take.
  static void refuse(Work& work, Work::Plan plan, std::int64_t code, const Value& error) {
    const auto text = error.find("errmsg");
    const std::string said(text ? text->bytes().value_or(std::string_view()) : std::string_view());
    // A raise over a document that is known to be there makes no _id: another unique index refuses it.
    const bool known = plan == Work::Plan::kRaise && work.old_pieces.has_value();
    if (code == kDuplicateKey && !known && ++work.duplicates < kRounds / 2) {
      // Somebody was there first. Should another unique index be the reason, the document is not there afterwards.
      work.plan = plan == Work::Plan::kInsert && work.duplicates == 1 ? Work::Plan::kRaise : Work::Plan::kLook;
      return;
    }
    work.result = server_error(code, said);
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

  Writer& writer_;
  Place& place_;
  mongoc_client_t* client_;
  std::vector<Work>& works_;
  Deadline deadline_;
  CollectionHandle documents_;
};

Result<void> Writer::carry_out(std::vector<Work>& works, Deadline deadline) {
  const bool insert_first = mostly_new_.load(std::memory_order_relaxed);
  return place_->call(deadline, [&](mongoc_client_t* client) -> Result<void> {
    if (auto noted = note_purge(client, works, deadline); !noted) return noted;
    // Pieces come before the document that they belong to: whoever finds it finds them.
    for (const auto& work : works) {
      if (work.result || work.document.pieces.empty()) continue;
      if (auto written = write_pieces(*place_, client, work.document, deadline); !written) return written;
      pieces_.store(true, std::memory_order_relaxed);
    }
    if (auto done = Bulk(*this, client, works, deadline).go(insert_first); !done) return done;
    for (const auto& work : works) {
      if (work.old_pieces.value_or(0) == 0 && work.document.pieces.empty()) continue;
      if (auto dropped = drop_left_over(*place_, client, work.document, deadline); !dropped) return dropped;
    }
    return {};
  });
}

Result<void> Writer::note_purge(mongoc_client_t* client, const std::vector<Work>& works, Deadline deadline) {
  auto earliest = TimePoint::max();
  for (const auto& work : works) {
    if (work.document.purge_at) earliest = std::min(earliest, *work.document.purge_at);
  }
  const auto known = purge_from_.load(std::memory_order_relaxed);
  if (earliest >= known) return {};
  if (auto lowered = lower_purge_from(*place_, client, earliest, deadline); !lowered) return lowered;
  // What another thread noted meanwhile may be earlier still: then it is noted again, which does no harm.
  purge_from_.store(earliest, std::memory_order_relaxed);
  return {};
}

// Later ones are smaller: of two writes of one version and revision the first one stays.
std::int64_t Writer::next_turn() {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch());
  auto last = last_turn_.load(std::memory_order_relaxed);
  std::int64_t next = 0;
  do {
    next = std::min<std::int64_t>(-now.count(), last - 1);
  } while (!last_turn_.compare_exchange_weak(last, next, std::memory_order_relaxed));
  return next;
}

Result<std::vector<Result<ArchiveWrite>>> Writer::write(const WriteArchive& request) {
  const auto& options = place_->options();
  std::vector<std::optional<Result<ArchiveWrite>>> results(request.entries.size());
  std::vector<Work> works;
  works.reserve(std::min(options.batch, request.entries.size()));
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
    Work work;
    if (auto prepared = prepare(request.entries[i], options, next_turn(), work.document); !prepared) {
      results[i] = std::move(prepared).error();
      continue;
    }
    work.document.index = i;
    const auto size = work.document.bytes();
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
