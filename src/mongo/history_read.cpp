#include <algorithm>
#include <map>
#include <utility>

#include "core/past_holder.hpp"
#include "mongo/cursors.hpp"
#include "mongo/errors.hpp"
#include "mongo/history.hpp"
#include "mongo/history_codec.hpp"
#include "mongo/history_names.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

using Kind = HistoryState::Kind;
using Status = HistoryLookup::Status;

// By what they are not, so that what is damaged there, and may be what is asked for, comes along.
Document unless(const char* comparison, TimePoint at) {
  Document bound;
  bound.add_date(comparison, at);
  Document out;
  out.add("$not", bound);
  return out;
}
Document unless_later(TimePoint at) { return unless("$gt", at); }
Document unless_by_then(TimePoint at) { return unless("$lte", at); }

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

// Whether the answer would be another one without the claims of which nobody knows whether they list the key.
bool holds_by_chance(std::span<const detail::PastClaim> claims, const std::vector<bool>& sure, const detail::PastHolder& holder,
                     TimePoint at) {
  std::vector<detail::PastClaim> certain;
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (!sure[i]) continue;
    certain.push_back(claims[i]);
    which.push_back(i);
  }
  if (certain.size() == claims.size()) return false;
  const auto without = detail::past_holder(certain, at);
  return without.status != holder.status || (holder.status == Status::kFound && which[without.claim] != holder.claim);
}

Summary summary_of(Record&& record) {
  Summary summary;
  summary.hash = identity_hash(record.ns, record.id);
  summary.ns = record.ns;
  summary.id = record.id;
  summary.version = record.version;
  summary.revision = record.revision;
  summary.expires_at = record.expires_at;
  summary.account = record.account;
  summary.flow = record.flow;
  summary.content = content_digest(record);
  summary.stamp = record.stamp;
  summary.ttl_rule = record.ttl_rule;
  summary.record = std::move(record);
  return summary;
}

}  // namespace

Result<HistoryLookup> History::get(const GetHistory& request) {
  const auto deadline = request.deadline;
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
  filter.add_utf8("ident", document_id(request.ns, request.id));
  filter.add("since", unless_later(request.at)).add("until", unless_by_then(request.at));
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
  Document keys;
  keys.push_text(0, request.key).push_text(1, kAnyKey);
  Document in;
  in.add_array("$in", keys);
  Document filter;
  filter.add_text("ns", request.ns).add("keys", in);
  Document fields;
  for (const auto* name : {"format", "ident", "kind", "reason", "stamp", "position", "since", "until", "lost", "any_key"}) {
    fields.add(name, std::int32_t{1});
  }
  Document options;
  options.add("projection", fields).add("batchSize", place_->batch_size(false));
  std::vector<detail::PastClaim> claims;
  std::vector<bool> sure;  // of each whether it lists the key
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
    sure.push_back(!state->any_key);
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
  if (holds_by_chance(claims, sure, holder, request.at)) {
    return corrupted("a state of a history that was refused when it was to be written may have had the key");
  }
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
    const auto name = name_in(request.cursor);
    if (!name) return name.error();
    Document behind;
    behind.add_utf8("$gt", *name);
    filter.add("ident", behind);
  }
  // Also those that are no record, or had expired: where the end of the one before is not written yet, they hide it.
  filter.add("since", unless_later(request.at)).add("until", unless_by_then(request.at));
  const auto limit = std::clamp<std::size_t>(request.limit, 1, std::size_t{1} << 20);
  Document order;
  order.add("ident", std::int32_t{1}).add("since", std::int32_t{-1}).add("position", std::int32_t{-1});
  Document options;
  // One more than asked for tells whether this page is the last.
  options.add("sort", order).add("limit", static_cast<std::int64_t>(limit + 1)).add("projection", without_keys());
  options.add("batchSize", place_->batch_size(true));
  return place_->call(request.deadline, [&](mongoc_client_t* client) -> Result<SummaryPage> {
    SummaryPage page;
    const auto pass_over = [&](const std::string& ident, const std::string& document, Error error) -> Result<void> {
      if (!request.over_damaged || !is_damage(error)) return error;
      page.damaged.push_back(damaged_item(identity_in(ident) ? ident : document, error));
      return {};
    };
    std::vector<StoredState> states;
    std::size_t seen = 0;
    std::string last;
    // What has no text there sorts before or behind all that have one: cursors go on behind the last of these.
    auto at = request.cursor.empty() ? cursor_before_all() : request.cursor;
    auto found =
        place_->find(client, place_->history(), filter, options, false, request.deadline, [&](const bson_t* document) -> Result<void> {
          if (++seen > limit) return {};
          const auto ident = text_or_empty(document, "ident");
          // A state whose end is not written yet (history_write.cpp) comes behind the one that follows it.
          if (!ident.empty() && ident == last) return {};
          if (!ident.empty()) at = cursor_behind(last = ident);
          auto state = read_state(document);
          if (!state) return pass_over(ident, text_or_empty(document, "_id"), std::move(state).error());
          if (state->kind != Kind::kTombstone && state->kind != Kind::kNotKept && !state->expired(request.at))
            states.push_back(*std::move(state));
          return {};
        });
    if (!found) return std::move(found).error();
    for (auto& state : states) {
      const auto ident = state.ident;
      const auto document = state.document;
      auto whole = read_pieces(*place_, client, state, request.deadline);
      auto record = whole ? record_of(std::move(state)) : Result<Record>(std::move(whole).error());
      if (record) {
        page.items.push_back(summary_of(*std::move(record)));
      } else if (auto passed = pass_over(ident, document, std::move(record).error()); !passed) {
        return std::move(passed).error();
      }
    }
    if (seen > limit) page.next = std::move(at);
    return page;
  });
}

}  // namespace setget::inline v0::mongo
