// What histories let go: by age, and where space is short. The server's TTL index comes a day later: it does not note what is not known any
// more, and so only does our work where nobody of us has done it for so long.
#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "mongo/cursors.hpp"
#include "mongo/errors.hpp"
#include "mongo/history.hpp"
#include "mongo/history_codec.hpp"
#include "mongo/history_names.hpp"
#include "mongo/state_documents.hpp"

namespace setget::inline v0::mongo {

struct History::Known {
  std::optional<TimePoint> from{};
  std::string of{};
  std::optional<TimePoint> looked_after{};
};

struct History::Doomed {
  std::string document{};
  HistoryState::Kind kind = HistoryState::Kind::kRecord;
  TimePoint until{};
  std::optional<TimePoint> drop_at{};
  Milliseconds keep{};
  std::int64_t bytes = 0;
  bool pieces = false;
};

namespace {

// In one exchange.
constexpr std::size_t kTogether = 100;
// How long a sum of all states is good for, with what was done since.
constexpr auto kSumIsGood = std::chrono::minutes(10);

Document known_filter() {
  Document filter;
  filter.add_utf8("_id", kKnown);
  return filter;
}

}  // namespace

Result<std::optional<History::Known>> History::known(mongoc_client_t* client, Deadline deadline) {
  std::optional<Known> out;
  auto found =
      place_->find(client, place_->state(), known_filter(), Document(), false, deadline, [&](const bson_t* document) -> Result<void> {
        const auto time = [&](const char* name) {
          const auto value = find(document, name);
          return value ? value->time() : std::nullopt;
        };
        out = Known{.from = time("from"), .of = text_or_empty(document, "of"), .looked_after = time("looked_after")};
        return {};
      });
  if (!found) return std::move(found).error();
  return out;
}

Result<std::optional<TimePoint>> History::known_from(mongoc_client_t* client, Deadline deadline) {
  auto there = known(client, deadline);
  if (!there) return std::move(there).error();
  return *there ? (*there)->from : std::optional<TimePoint>();
}

Result<void> History::forget_before(mongoc_client_t* client, TimePoint moment, Deadline deadline) {
  Document fields;
  fields.add_date("from", moment);
  Document change;
  change.add("$max", fields);
  Document upsert;
  upsert.add("upsert", true);
  const auto states = place_->collection(client, place_->state());
  bson_error_t error{};
  if (mongoc_collection_update_one(states.get(), known_filter().raw(), change.raw(), upsert.raw(), nullptr, &error)) return {};
  if (error.code == kDuplicateKey) return Error(ErrorCode::kUnavailable, "another process wrote the same document");
  return call_error(error, deadline);
}

Result<void> History::look_after(mongoc_client_t* client, const Known& known, TimePoint now, Deadline deadline) {
  const auto before = known.looked_after;
  if (before && now - *before < std::chrono::hours(1) && now >= *before) return {};
  // What the server has dropped since then had ended a day ago at the latest.
  if (before && now - *before >= kGrace && place_->options().ttl_index) {
    if (auto noted = forget_before(client, now - kGrace, deadline); !noted) return noted;
  }
  Document fields;
  fields.add_date("looked_after", now);
  Document change;
  change.add("$set", fields);
  const auto states = place_->collection(client, place_->state());
  bson_error_t error{};
  if (mongoc_collection_update_one(states.get(), known_filter().raw(), change.raw(), nullptr, nullptr, &error)) return {};
  return call_error(error, deadline);
}

Result<std::size_t> History::reclaim(const ReclaimArchive& request, std::size_t limit) {
  const auto deadline = request.deadline;
  return place_->call(deadline, [&](mongoc_client_t* client) -> Result<std::size_t> {
    auto there = known(client, deadline);
    if (!there) return std::move(there).error();
    if (!*there) return std::size_t{0};
    if (auto looked = look_after(client, **there, request.now, deadline); !looked) return std::move(looked).error();
    auto old = drop_old(client, request.now, limit, deadline);
    if (!old) return old;
    auto first = request.max_history_bytes == 0 ? Result<std::size_t>(std::size_t{0})
                                                : drop_first(client, request.max_history_bytes, limit - *old, deadline);
    if (!first) return first;
    if (auto released = release_dropped_states(*place_, client, deadline); !released) return std::move(released).error();
    return *old + *first;
  });
}

Result<std::vector<History::Doomed>> History::find_doomed(mongoc_client_t* client, const Document& filter, const char* by,
                                                          std::size_t limit, Deadline deadline) {
  Document fields;
  for (const auto* name : {"kind", "until", "drop_at", "keep", "bytes", "pieces"}) fields.add(name, std::int32_t{1});
  Document order;
  order.add(by, std::int32_t{1});
  Document options;
  options.add("projection", fields).add("sort", order).add("limit", static_cast<std::int64_t>(limit));
  std::vector<Doomed> out;
  auto found = place_->find(client, place_->history(), filter, options, false, deadline, [&](const bson_t* document) -> Result<void> {
    auto& one = out.emplace_back();
    one.document = text_or_empty(document, "_id");
    one.kind = static_cast<HistoryState::Kind>(integer_or(document, "kind", 1));
    const auto until = find(document, "until");
    one.until = until ? until->time().value_or(TimePoint{}) : TimePoint{};
    const auto drop_at = find(document, "drop_at");
    if (drop_at) one.drop_at = drop_at->time();
    one.keep = Milliseconds(integer_or(document, "keep", 0));
    one.bytes = integer_or(document, "bytes", 0);
    one.pieces = integer_or(document, "pieces", 0) > 0;
    return {};
  });
  if (!found) return std::move(found).error();
  return out;
}

Result<void> History::drop(mongoc_client_t* client, std::span<const Doomed> doomed, Deadline deadline) {
  Document ids;
  std::int64_t bytes = 0;
  bson_error_t error{};
  for (std::size_t i = 0; i < doomed.size(); ++i) {
    ids.push_text(i, doomed[i].document);
    bytes += doomed[i].bytes;
    if (!doomed[i].pieces) continue;
    const auto pieces = place_->collection(client, place_->history_chunks());
    if (!mongoc_collection_delete_many(pieces.get(), pieces_of(doomed[i].document).raw(), nullptr, nullptr, &error)) {
      return call_error(error, deadline);
    }
  }
  Document in;
  in.add_array("$in", ids);
  Document filter;
  filter.add("_id", in);
  const auto states = place_->collection(client, place_->history());
  if (!mongoc_collection_delete_many(states.get(), filter.raw(), nullptr, nullptr, &error)) return call_error(error, deadline);
  note_bytes(-bytes);
  return {};
}

Result<std::size_t> History::drop_old(mongoc_client_t* client, TimePoint now, std::size_t limit, Deadline deadline) {
  std::size_t steps = 0;
  while (steps < limit) {
    const auto most = std::min(limit - steps, kTogether);
    Document due;
    due.add_date("$lte", now);
    Document filter;
    filter.add("drop_at", due).add("_id", any_text());
    auto doomed = find_doomed(client, filter, "drop_at", most, deadline);
    if (!doomed) return std::move(doomed).error();
    if (doomed->empty()) break;
    std::optional<TimePoint> lost_until;
    for (const auto& one : *doomed) {
      // Without a tombstone the answer is the same.
      if (one.kind != HistoryState::Kind::kTombstone && one.drop_at)
        lost_until = std::max(lost_until.value_or(TimePoint{}), *one.drop_at - one.keep);
    }
    if (lost_until) {
      if (auto noted = forget_before(client, *lost_until, deadline); !noted) return std::move(noted).error();
    }
    if (auto dropped = drop(client, *doomed, deadline); !dropped) return std::move(dropped).error();
    steps += doomed->size();
    if (doomed->size() < most) break;
  }
  return steps;
}

Result<std::size_t> History::drop_first(mongoc_client_t* client, std::uint64_t max_bytes, std::size_t limit, Deadline deadline) {
  std::size_t steps = 0;
  bool sure = false;  // others drop as well: what they have dropped since must not be dropped for a second time
  while (steps < limit) {
    auto bytes = bytes_about(client, deadline);
    if (!bytes) return std::move(bytes).error();
    if (*bytes <= max_bytes) break;
    Document before;
    before.add_date("$lt", kForever);
    Document filter;
    filter.add("until", before).add("_id", any_text());
    auto doomed = find_doomed(client, filter, "until", std::min(limit - steps, kTogether), deadline);
    if (!doomed) return std::move(doomed).error();
    if (doomed->empty()) break;
    if (!sure) {
      bytes = bytes_about(client, deadline, max_bytes);
      if (!bytes) return std::move(bytes).error();
      sure = true;
    }
    std::size_t count = 0;
    for (auto left = *bytes; count < doomed->size() && left > max_bytes; ++count) {
      left -= std::min(left, static_cast<std::uint64_t>(std::max<std::int64_t>(0, (*doomed)[count].bytes)));
    }
    if (count == 0) break;
    const auto some = std::span(*doomed).subspan(0, count);
    if (auto noted = forget_before(client, some.back().until, deadline); !noted) return std::move(noted).error();
    if (auto dropped = drop(client, some, deadline); !dropped) return std::move(dropped).error();
    steps += count;
  }
  return steps;
}

Result<History::Totals> History::totals(mongoc_client_t* client, Deadline deadline) {
  Document one;
  one.add("$sum", std::int32_t{1});
  Document bytes;
  bytes.add_utf8("$sum", "$bytes");
  Document sums;
  sums.add_null("_id").add("states", one).add("bytes", bytes);
  Document group;
  group.add("$group", sums);
  Document stages;
  stages.add("0", group);
  Document command;
  command.add_utf8("aggregate", place_->history()).add_array("pipeline", stages).add("cursor", Document());
  Reply reply;
  if (auto done = place_->command(client, place_->database().c_str(), command, reply, deadline); !done) return std::move(done).error();
  Totals out;
  const auto cursor = find(reply.raw(), "cursor");
  const auto batch = cursor ? cursor->find("firstBatch") : std::nullopt;
  if (!batch) return corrupted("the server does not say how many states there are");
  batch->each([&](const Value& line) {
    const auto number = [&](const char* name) {
      const auto value = line.find(name);
      return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value ? value->integer().value_or(0) : 0));
    };
    out = {.states = number("states"), .bytes = number("bytes")};
    return false;
  });
  // No state is of no bytes: a server that says so (FerretDB 1) does not sum fields.
  if (out.states == 0 || out.bytes > 0) return out;
  Document fields;
  fields.add("bytes", std::int32_t{1});
  Document options;
  options.add("projection", fields).add("batchSize", place_->batch_size(false));
  auto added = place_->find(client, place_->history(), Document(), options, false, deadline, [&](const bson_t* document) -> Result<void> {
    out.bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_or(document, "bytes", 0)));
    return {};
  });
  if (!added) return std::move(added).error();
  return out;
}

void History::note_bytes(std::int64_t change) {
  const std::lock_guard lock(mutex_);
  if (bytes_) *bytes_ += change;
}

Result<std::uint64_t> History::bytes_about(mongoc_client_t* client, Deadline deadline, std::uint64_t believed_up_to) {
  {
    const std::lock_guard lock(mutex_);
    const auto bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes_.value_or(0)));
    if (bytes_ && bytes <= believed_up_to && !bytes_until_.passed()) return bytes;
  }
  auto sums = totals(client, deadline);
  if (!sums) return std::move(sums).error();
  const std::lock_guard lock(mutex_);
  bytes_ = static_cast<std::int64_t>(sums->bytes);
  bytes_until_ = Deadline::in(kSumIsGood);
  return sums->bytes;
}

Result<void> History::add_to(ArchiveStats& stats, mongoc_client_t* client, Deadline deadline) {
  auto there = known(client, deadline);
  if (!there) return std::move(there).error();
  if (!*there) return {};
  auto sums = totals(client, deadline);
  if (!sums) return std::move(sums).error();
  stats.history_states = sums->states;
  stats.history_bytes = sums->bytes;
  stats.history_from = (*there)->from;
  stats.history_of = (*there)->of;
  return {};
}

Result<std::string> History::of(mongoc_client_t* client, Deadline deadline) {
  auto there = known(client, deadline);
  if (!there) return std::move(there).error();
  return *there ? std::move((*there)->of) : std::string();
}

}  // namespace setget::inline v0::mongo
