// A batch of states: what is known of their source and of the states before them; inserts; the ends of those before; how far it came. Each
// step repeats without harm: a state has the same document whenever it is sent, an end is written once, and only when all of it is there
// does the batch count as written. A state that cannot be taken for itself has its place there, which says so. So a crash, a lost answer,
// or two processes that move the same outbox change nothing.
#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/errors.hpp"
#include "mongo/history.hpp"
#include "mongo/history_codec.hpp"
#include "mongo/history_names.hpp"
#include "mongo/names.hpp"
#include "mongo/state_documents.hpp"

namespace setget::inline v0::mongo {

namespace {

// Of the server.
constexpr int kNeverConfirmed = 100;  // the replica set has too few members for the write concern
constexpr int kRefusedByValidator = 121;

}  // namespace

class History::Writing {
 public:
  Writing(History& history, mongoc_client_t* client, const WriteHistory& request)
      : history_(history), place_(*history.place_), client_(client), request_(request), deadline_(request.deadline) {}

  Result<std::size_t> go() {
    if (auto made = place_.make_history(client_, deadline_); !made) return std::move(made).error();
    if (auto read = read_positions(); !read) return std::move(read).error();
    for (const auto& given : request_.states) {
      auto& written = positions_[given.state.part];
      positions_before_.try_emplace(given.state.part, written);
      if (given.state.position <= written) continue;
      fresh_.push_back(&given);
      written = given.state.position;
    }
    if (!fresh_.empty()) {
      if (auto done = write_states(); !done) return std::move(done).error();
    }
    if (auto done = say_what_is_known(); !done) return std::move(done).error();
    return fresh_.size();
  }

 private:
  std::size_t limit() const { return place_.options().batch; }

  Result<void> read_positions() {
    std::map<std::string, std::uint32_t> parts;
    Document ids;
    for (const auto& given : request_.states) {
      const auto [at, is_new] = parts.try_emplace(kPositions + part_name(request_.source, given.state.part), given.state.part);
      if (is_new) ids.push_text(parts.size() - 1, at->first);
    }
    ids.push_text(parts.size(), kKnown);
    Document in;
    in.add_array("$in", ids);
    Document filter;
    filter.add("_id", in);
    return place_.find(client_, place_.state(), filter, Document(), false, deadline_, [&](const bson_t* found) -> Result<void> {
      const auto id = text_or_empty(found, "_id");
      if (id == kKnown) {
        has_from_ = find(found, "from").has_value();
      } else if (const auto part = parts.find(id); part != parts.end()) {
        positions_[part->second] = static_cast<Position>(integer_or(found, "position", 0));
      }
      return {};
    });
  }

  // Of this batch's identities what is in force, or was when the first of the batch was accepted. What an attempt left that did not come to
  // its end is not one of them: its documents are those of this attempt, or of the next batch.
  Result<void> read_links() {
    std::set<std::string> wanted;
    auto first = kForever;
    for (const auto* given : fresh_) {
      wanted.insert(document_id(given->state.ns, given->state.id));
      first = std::min(first, given->state.at);
    }
    // What does not say when it ends has not ended.
    Document before;
    before.add_date("$lt", first);
    Document not_before;
    not_before.add("$not", before);
    for (auto at = wanted.begin(); at != wanted.end();) {
      Document ids;
      for (std::size_t count = 0; at != wanted.end() && count < limit(); ++at, ++count) ids.push_text(count, *at);
      Document in;
      in.add_array("$in", ids);
      Document filter;
      filter.add("ident", in).add("until", not_before);
      Document fields;
      for (const auto* name : {"format", "ident", "since", "until", "position", "keys", "stamp", "keep", "pieces"}) {
        fields.add(name, std::int32_t{1});
      }
      Document options;
      options.add("projection", fields).add("batchSize", place_.batch_size(false));
      auto found = place_.find(client_, place_.history(), filter, options, false, deadline_, [&](const bson_t* document) -> Result<void> {
        auto state = read_state(document);
        // A newer version's is that version's matter.
        if (!state && state.error().code() == ErrorCode::kUnsupported) return {};
        auto link = state ? link_of(*std::move(state)) : link_of_damaged(document);
        for (const auto& [part, position] : positions_before_) {
          const auto mine = part_name(request_.source, part);
          if (link.document.starts_with(mine) && link.document > state_name(mine, position)) return {};
        }
        links_[text_or_empty(document, "ident")].push_back(std::move(link));
        return {};
      });
      if (!found) return found;
    }
    return {};
  }

  Result<void> write_states() {
    if (auto read = read_links(); !read) return read;
    std::vector<PlannedState> planned;
    std::map<std::string, Link> ends;  // by document
    std::size_t bytes = 0;
    const auto flush = [&]() -> Result<void> {
      auto done = insert(planned);
      planned.clear();
      bytes = 0;
      return done;
    };
    for (const auto* given : fresh_) {
      auto& links = links_[document_id(given->state.ns, given->state.id)];
      const auto before = std::ranges::max_element(links, {}, [](const Link& one) { return std::pair(one.until, one.since); });
      auto name = state_name(part_name(request_.source, given->state.part), given->state.position);
      auto one = plan_state(*given, std::move(name), before == links.end() ? nullptr : &*before, place_.options().max_inline_bytes);
      // What was in force then, or would have been later: what was accepted later and applied before never was.
      for (auto& earlier : links) {
        if (earlier.until <= one.link.since) continue;
        earlier.until = one.link.since;
        ends.insert_or_assign(earlier.document, earlier);
      }
      links.push_back(one.link);
      bytes += one.whole.bytes();
      planned.push_back(std::move(one));
      if (planned.size() < limit() && bytes < place_.options().batch_bytes) continue;
      if (auto done = flush(); !done) return done;
    }
    if (auto done = flush(); !done) return done;
    // Not before all are there: a state that has ended is not looked for again.
    if (auto ended = end(ends); !ended) return ended;
    return save_positions();
  }

  Result<void> insert(const std::vector<PlannedState>& planned) {
    std::vector<const PlannedState*> fitting;
    std::vector<const PlannedState*> too_large;
    for (const auto& one : planned) (one.fits() ? fitting : too_large).push_back(&one);
    if (auto written = write_pieces(fitting); !written) return written;
    if (auto sent = send(std::move(fitting)); !sent) return sent;
    if (auto looked = leave_missing(too_large); !looked) return looked;
    for (const auto* one : too_large) {
      const Error why(ErrorCode::kTooLarge, "a state of a history does not fit into a document of MongoDB");
      if (auto done = put_place(*one, why); !done) return done;
    }
    return {};
  }

  // Together while that brings some of them there. What is left then is sent one by one: each error is one state's.
  Result<void> send(std::vector<const PlannedState*> left) {
    for (auto before = left.size() + 1; !left.empty() && left.size() < before;) {
      before = left.size();
      auto sent = send_together(left);
      if (sent) return {};
      if (!of_a_document(sent.error())) return sent;
      // Some were there, and the server may have stopped at the first of them.
      if (auto looked = leave_missing(left); !looked) return looked;
    }
    for (const auto* one : left) {
      auto sent = send_together(std::span(&one, 1));
      if (sent) continue;
      if (!of_a_document(sent.error())) return sent;
      std::vector<const PlannedState*> missing{one};
      if (auto looked = leave_missing(missing); !looked) return looked;
      if (missing.empty()) continue;
      if (auto put = put_place(*one, sent.error()); !put) return put;
    }
    return {};
  }

  // An error that says something of what was sent, and nothing of the server, the user or the time.
  static bool of_a_document(const Error& error) {
    switch (error.code()) {
      case ErrorCode::kTooLarge:
      case ErrorCode::kConflict:
      case ErrorCode::kInternal:
        return true;
      case ErrorCode::kFailedPrecondition:
        return error.native_code() == kRefusedByValidator;
      default:
        return false;
    }
  }

  Result<void> send_together(std::span<const PlannedState* const> states) {
    const auto documents = place_.collection(client_, place_.history());
    Document options;
    options.add("ordered", false);
    const BulkHandle bulk(mongoc_collection_create_bulk_operation_with_opts(documents.get(), options.raw()));
    bson_error_t error{};
    std::int64_t bytes = 0;
    for (const auto* one : states) {
      if (!mongoc_bulk_operation_insert_with_opts(bulk.get(), one->whole.raw(), nullptr, &error)) return call_error(error, deadline_);
      bytes += one->bytes;
    }
    Reply reply;
    if (mongoc_bulk_operation_execute(bulk.get(), reply.fill(), &error) != 0) {
      history_.note_bytes(bytes);
      return {};
    }
    // Written, and not confirmed as it must be: nothing that another way of sending it would mend.
    if (error.domain == MONGOC_ERROR_WRITE_CONCERN)
      return server_error(error.code == kNeverConfirmed ? kNeverConfirmed : 64, error.message);
    return call_error(error, deadline_);
  }

  // A state that cannot be taken leaves its place, and a line in the quarantine before that: what has a place counts as written. Where not
  // even the place can be written, nothing can, and the outbox keeps all.
  Result<void> put_place(const PlannedState& one, const Error& why) {
    if (!request_.refused) return why;
    if (auto noted = request_.refused(*one.given, why); !noted) return noted;
    const auto& state = one.given->state;
    const auto now = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
    const QuarantinedEntry entry{.ns = state.ns,
                                 .id = state.id,
                                 .version = state.version,
                                 .revision = state.revision,
                                 .tombstone = state.kind == HistoryState::Kind::kTombstone,
                                 .tombstone_reason = state.reason,
                                 .reason = why.describe(),
                                 .attempts = 1,
                                 .since = now,
                                 .last_at = now,
                                 .state_at = state.at};
    if (auto kept = put_state_in_quarantine(place_, client_, entry, one.link.document, deadline_); !kept) return kept;
    if (!one.pieces.empty()) {
      if (auto dropped = drop_pieces(one); !dropped) return dropped;
    }
    const auto documents = place_.collection(client_, place_.history());
    for (const bool with_keys : {true, false}) {
      const auto place = place_of(one, why.message(), with_keys);
      if (with_keys && (!place.whole() || place.bytes() > kMaxDocument)) continue;
      bson_error_t error{};
      if (mongoc_collection_insert_one(documents.get(), place.raw(), nullptr, nullptr, &error)) break;
      auto failed = call_error(error, deadline_);
      if (!with_keys || !of_a_document(failed)) return failed;
    }
    return {};
  }

  Result<void> leave_missing(std::vector<const PlannedState*>& left) {
    if (left.empty()) return {};
    Document ids;
    for (std::size_t i = 0; i < left.size(); ++i) ids.push_text(i, left[i]->link.document);
    Document in;
    in.add_array("$in", ids);
    Document filter;
    filter.add("_id", in);
    Document fields;
    fields.add("_id", std::int32_t{1});
    Document options;
    options.add("projection", fields);
    std::set<std::string> there;
    auto found = place_.find(client_, place_.history(), filter, options, false, deadline_, [&](const bson_t* document) -> Result<void> {
      there.insert(text_or_empty(document, "_id"));
      return {};
    });
    if (found) std::erase_if(left, [&](const PlannedState* one) { return there.contains(one->link.document); });
    return found;
  }

  // Of those states that are not there yet: what is there is as it was written, whole. What an attempt left that cut otherwise, or did not
  // come to its end, goes first.
  Result<void> write_pieces(std::vector<const PlannedState*> states) {
    std::erase_if(states, [](const PlannedState* one) { return one->pieces.empty(); });
    if (states.empty()) return {};
    if (auto looked = leave_missing(states); !looked) return looked;
    for (const auto* one : states) {
      if (auto done = write_pieces(*one); !done) return done;
    }
    return {};
  }

  Result<void> drop_pieces(const PlannedState& state) {
    const auto pieces = place_.collection(client_, place_.history_chunks());
    bson_error_t error{};
    if (mongoc_collection_delete_many(pieces.get(), pieces_of(state.link.document).raw(), nullptr, nullptr, &error)) return {};
    return call_error(error, deadline_);
  }

  Result<void> write_pieces(const PlannedState& state) {
    if (auto dropped = drop_pieces(state); !dropped) return dropped;
    const auto size = place_.options().max_inline_bytes;
    const auto pieces = place_.collection(client_, place_.history_chunks());
    Document upsert;
    upsert.add("upsert", true);
    for (std::size_t at = 0, number = 0; at < state.pieces.size(); at += size, ++number) {
      const auto id = piece_name(state.link.document, number);
      Document piece;
      piece.add_utf8("_id", id).add_binary("bytes", state.pieces.view().substr(at, size));
      if (state.drop_at) piece.add_date("purge_at", *state.drop_at + kGrace);
      Document filter;
      filter.add_utf8("_id", id);
      bson_error_t error{};
      if (!mongoc_collection_replace_one(pieces.get(), filter.raw(), piece.raw(), upsert.raw(), nullptr, &error)) {
        return call_error(error, deadline_);
      }
    }
    return {};
  }

  Result<void> end(const std::map<std::string, Link>& ends) {
    const auto states = place_.collection(client_, place_.history());
    for (auto at = ends.begin(); at != ends.end();) {
      Document options;
      options.add("ordered", false);
      const BulkHandle bulk(mongoc_collection_create_bulk_operation_with_opts(states.get(), options.raw()));
      bson_error_t error{};
      for (std::size_t count = 0; at != ends.end() && count < limit(); ++at, ++count) {
        const auto& link = at->second;
        Document by_then;
        by_then.add_date("$lte", link.until);
        Document not_yet;
        not_yet.add("$not", by_then);
        Document filter;
        filter.add_utf8("_id", link.document).add("until", not_yet);
        Document fields;
        fields.add_date("until", link.until);
        if (link.keep) fields.add_date("drop_at", link.until + *link.keep).add_date("purge_at", link.until + *link.keep + kGrace);
        Document change;
        change.add("$set", fields);
        if (link.pieces > 0) {
          if (auto done = end_pieces(link, link.until); !done) return done;
        }
        if (!mongoc_bulk_operation_update_one_with_opts(bulk.get(), filter.raw(), change.raw(), nullptr, &error)) {
          return call_error(error, deadline_);
        }
      }
      Reply reply;
      if (mongoc_bulk_operation_execute(bulk.get(), reply.fill(), &error) == 0) return call_error(error, deadline_);
    }
    return {};
  }

  Result<void> end_pieces(const Link& link, TimePoint until) {
    if (!link.keep) return {};
    const auto pieces = place_.collection(client_, place_.history_chunks());
    Document fields;
    fields.add_date("purge_at", until + *link.keep + kGrace);
    Document change;
    change.add("$set", fields);
    bson_error_t error{};
    if (mongoc_collection_update_many(pieces.get(), pieces_of(link.document).raw(), change.raw(), nullptr, nullptr, &error)) return {};
    return call_error(error, deadline_);
  }

  Result<void> set(const std::string& id, const Document& change) {
    Document filter;
    filter.add_utf8("_id", id);
    Document upsert;
    upsert.add("upsert", true);
    const auto states = place_.collection(client_, place_.state());
    bson_error_t error{};
    if (mongoc_collection_update_one(states.get(), filter.raw(), change.raw(), upsert.raw(), nullptr, &error)) return {};
    if (error.code == kDuplicateKey) return Error(ErrorCode::kUnavailable, "another process wrote the same document");
    return call_error(error, deadline_);
  }

  Result<void> save_positions() {
    std::set<std::uint32_t> parts;
    for (const auto* given : fresh_) parts.insert(given->state.part);
    for (const auto part : parts) {
      Document fields;
      fields.add("position", positions_[part]);
      Document change;
      change.add("$max", fields);
      if (auto done = set(kPositions + part_name(request_.source, part), change); !done) return done;
    }
    return {};
  }

  Result<void> say_what_is_known() {
    std::optional<TimePoint> from;
    if (!has_from_ && !fresh_.empty()) from = fresh_.front()->state.at;
    if (!request_.of.empty()) from = std::max(from.value_or(request_.since), request_.since);
    if (from) {
      if (auto done = history_.forget_before(client_, *from, deadline_); !done) return done;
    }
    if (request_.of.empty()) return {};
    Document fields;
    fields.add_text("of", request_.of);
    Document change;
    change.add("$set", fields);
    return set(kKnown, change);
  }

  History& history_;
  Place& place_;
  mongoc_client_t* client_;
  const WriteHistory& request_;
  const Deadline deadline_;
  std::map<std::uint32_t, Position> positions_;         // after this batch
  std::map<std::uint32_t, Position> positions_before_;  // as they were found
  bool has_from_ = false;
  std::vector<const ArchivedState*> fresh_;
  std::map<std::string, std::vector<Link>> links_;  // by identity: what may be in force since the first state of the batch
};

Result<std::size_t> History::write(const WriteHistory& request) {
  if (request.states.empty() && request.of.empty()) return std::size_t{0};
  return place_->call(request.deadline, [&](mongoc_client_t* client) { return Writing(*this, client, request).go(); });
}

}  // namespace setget::inline v0::mongo
