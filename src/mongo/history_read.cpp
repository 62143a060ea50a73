#include <algorithm>
#include <map>
#include <utility>

#include "core/past_holder.hpp"
#include "core/scan_cursor.hpp"
#include "mongo/errors.hpp"
#include "mongo/history.hpp"
#include "mongo/history_codec.hpp"
#include "mongo/history_names.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

using Kind = HistoryState::Kind;
using Status = HistoryLookup::Status;

Document not_later(TimePoint at) {
  Document out;
  out.add_date("$lte", at);
  return out;
}

Document later(TimePoint at) {
  Document out;
  out.add_date("$gt", at);
  return out;
}

// What no answer is made of.
Document without_keys() {
  Document fields;
  fields.add("keys", std::int32_t{0});
  return fields;
}

Result<void> read_pieces(const Place& place, mongoc_client_t* client, StoredState& state, Deadline deadline) {
  if (state.pieces == 0) return {};
  Document order;
  order.add("_id", std::int32_t{1});
  Document options;
  options.add("sort", order).add("batchSize", place.pieces_at_once());
  std::int64_t read = 0;
  auto found = place.find(client, place.history_chunks(), pieces_of(state.document), options, false, deadline,
                          [&](const bson_t* piece) -> Result<void> {
                            const auto bytes = find(piece, "bytes");
                            state.body.append(bytes ? bytes->bytes().value_or(std::string_view()) : std::string_view());
                            ++read;
                            return {};
                          });
  if (found && read != state.pieces) return corrupted("state \"" + state.document + "\" of a history: pieces of its payload are missing");
  return found;
}

Result<HistoryLookup> answer_of(const Place& place, mongoc_client_t* client, StoredState state, TimePoint at, Deadline deadline) {
  if (state.kind == Kind::kNotKept) return HistoryLookup{.status = Status::kNotKept, .record = {}};
  if (state.kind == Kind::kTombstone || state.expired(at)) return HistoryLookup{.status = Status::kGone, .record = {}};
  if (auto whole = read_pieces(place, client, state, deadline); !whole) return std::move(whole).error();
  auto record = record_of(std::move(state));
  if (!record) return std::move(record).error();
  return HistoryLookup{.status = Status::kFound, .record = *std::move(record)};
}

}  // namespace

Result<HistoryLookup> History::get(const GetHistory& request) {
  const auto deadline = place_->clients().own_deadline();
  return place_->call(deadline, [&](mongoc_client_t* client) -> Result<HistoryLookup> {
    auto found = request.key.empty() ? by_id(client, request, deadline) : by_key(client, request, deadline);
    if (!found || (found->status != Status::kGone && found->status != Status::kUnknown)) return found;
    // Afterwards: it is written before what it tells of is dropped.
    auto from = known_from(client, deadline);
    if (!from) return std::move(from).error();
    found->known_from = *from;
    return found;
  });
}

Result<HistoryLookup> History::by_id(mongoc_client_t* client, const GetHistory& request, Deadline deadline) {
  Document filter;
  filter.add_utf8("ident", document_id(request.ns, request.id)).add("since", not_later(request.at)).add("until", later(request.at));
  Document order;
  order.add("since", std::int32_t{-1}).add("position", std::int32_t{-1});
  Document options;
  options.add("sort", order).add("limit", std::int64_t{1}).add("projection", without_keys());
  auto last = place_->find_one(client, place_->history(), filter, options, false, deadline, read_state);
  if (!last) return std::move(last).error();
  if (!*last) return HistoryLookup();
  return answer_of(*place_, client, **std::move(last), request.at, deadline);
}

Result<HistoryLookup> History::by_key(mongoc_client_t* client, const GetHistory& request, Deadline deadline) {
  Document filter;
  filter.add_text("ns", request.ns).add_text("keys", request.key);
  Document fields;
  for (const auto* name : {"format", "ident", "kind", "reason", "stamp", "position", "since", "until", "lost"}) {
    fields.add(name, std::int32_t{1});
  }
  Document options;
  options.add("projection", fields).add("batchSize", place_->batch_size(false));
  std::vector<detail::PastClaim> claims;
  struct InForce {
    std::size_t claim = 0;
    std::string document{};
    TimePoint since{};
    std::int64_t position = 0;
  };
  std::map<std::string, InForce> in_force;  // by identity
  std::map<std::string, std::size_t> identities;
  auto found = place_->find(client, place_->history(), filter, options, false, deadline, [&](const bson_t* document) -> Result<void> {
    auto state = read_state(document);
    if (!state) return std::move(state).error();
    const bool record = state->kind != Kind::kTombstone;
    claims.push_back({.identity = identities.try_emplace(state->ident, identities.size()).first->second,
                      .stamp = state->meta.stamp,
                      .since = state->since,
                      .applied = static_cast<std::uint64_t>(state->position),
                      .in_force = false,
                      .open = state->until == kForever,
                      .record = record,
                      .lost = record ? state->meta.lost_keys.contains(request.key) : state->reason == TombstoneReason::kSuperseded});
    if (!state->in_force(request.at)) return {};
    auto& known = in_force[state->ident];
    // Two while a batch is written: of those the one that came later.
    if (known.document.empty() || std::pair(state->since, state->position) > std::pair(known.since, known.position)) {
      known = {.claim = claims.size() - 1, .document = std::move(state->document), .since = state->since, .position = state->position};
    }
    return {};
  });
  if (!found) return std::move(found).error();
  for (const auto& [ident, one] : in_force) claims[one.claim].in_force = true;
  const auto holder = detail::past_holder(claims, request.at);
  if (holder.status != Status::kFound) return HistoryLookup{.status = holder.status, .record = {}};
  const auto held = std::ranges::find_if(in_force, [&](const auto& one) { return one.second.claim == holder.claim; });
  Document it;
  it.add_utf8("_id", held->second.document);
  Document whole;
  whole.add("projection", without_keys());
  auto state = place_->find_one(client, place_->history(), it, whole, false, deadline, read_state);
  if (!state) return std::move(state).error();
  // Dropped in between: what was in force then is not known any more.
  if (!*state) return HistoryLookup();
  return answer_of(*place_, client, **std::move(state), request.at, deadline);
}

Result<SummaryPage> History::scan(const ScanHistory& request) {
  Document filter;
  if (!request.cursor.empty()) {
    const auto cursor = detail::decode_scan_cursor(request.cursor);
    if (!cursor) return cursor.error();
    Document behind;
    behind.add_utf8("$gt", document_id(cursor->hash, cursor->ns, cursor->id));
    filter.add("ident", behind);
  }
  filter.add("since", not_later(request.at)).add("until", later(request.at)).add("live_until", later(request.at));
  filter.add("kind", static_cast<std::int32_t>(Kind::kRecord));
  const auto limit = std::clamp<std::size_t>(request.limit, 1, std::size_t{1} << 20);
  Document order;
  order.add("ident", std::int32_t{1}).add("since", std::int32_t{-1}).add("position", std::int32_t{-1});
  Document options;
  // One more than asked for tells whether this page is the last.
  options.add("sort", order).add("limit", static_cast<std::int64_t>(limit + 1)).add("projection", without_keys());
  options.add("batchSize", place_->batch_size(true));
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<SummaryPage> {
    std::vector<StoredState> states;
    bool more = false;
    auto found =
        place_->find(client, place_->history(), filter, options, false, request.deadline, [&](const bson_t* document) -> Result<void> {
          auto state = read_state(document);
          if (!state) return std::move(state).error();
          // A state whose end is not written yet (history_write.cpp) comes behind the one that follows it.
          if (!states.empty() && states.back().ident == state->ident) return {};
          more = states.size() == limit;
          if (!more) states.push_back(*std::move(state));
          return {};
        });
    if (!found) return std::move(found).error();
    SummaryPage page;
    for (auto& state : states) {
      if (auto whole = read_pieces(*place_, client, state, request.deadline); !whole) return std::move(whole).error();
      auto record = record_of(std::move(state));
      if (!record) return std::move(record).error();
      auto& summary = page.items.emplace_back();
      summary.hash = identity_hash(record->ns, record->id);
      summary.ns = record->ns;
      summary.id = record->id;
      summary.version = record->version;
      summary.revision = record->revision;
      summary.expires_at = record->expires_at;
      summary.account = record->account;
      summary.flow = record->flow;
      summary.content = content_digest(*record);
      summary.record = *std::move(record);
    }
    if (more) page.next = detail::encode_scan_cursor(page.items.back().hash, page.items.back().ns, page.items.back().id);
    return page;
  });
}

}  // namespace setget::inline v0::mongo
