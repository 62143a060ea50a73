// Reading: by key, by id, lists and scans.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/scan_cursor.hpp"
#include "redis/errors.hpp"
#include "redis/scan.hpp"
#include "redis/store_bodies.hpp"
#include "redis/store_lookup.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

using setget::detail::decode_scan_cursor;
using setget::detail::encode_scan_cursor;
using State = IdentitySlot::State;

// Identities that a scan keeps in order at a time, and their bytes; twice that while they are looked for.
constexpr std::size_t kWindow = 150'000;
constexpr std::size_t kWindowBytes = std::size_t{6} << 20;
// Nobody knows before how large the records of a list are: a few are asked for first, the next ones by what those took.
constexpr std::size_t kFirstOfList = 16;
constexpr std::size_t kMostOfList = 64;  // the next ones may be larger

// Whether an index, "account/flow", is one of those that a list asks for.
bool concerns(const ListRecords& request, std::string_view index) {
  const auto slash = std::min(index.find('/'), index.size());
  return (request.account.empty() || index.substr(0, slash) == request.account) &&
         (request.flow.empty() || index.substr(std::min(slash + 1, index.size())) == request.flow);
}

bool live(const std::optional<Entry>& entry) { return entry && entry->identity && entry->identity->slot.state == State::kLive; }

}  // namespace

Result<Record> RedisStore::record_of(const IdentityPart& identity, Deadline deadline) {
  auto encoded = coder_->load(identity, deadline);
  if (!encoded) return std::move(encoded).error();
  return record_from(*encoded, identity);
}

Result<Record> RedisStore::record_from(const Payload& encoded, const IdentityPart& identity) {
  const auto& slot = identity.slot;
  return make_record(encoded, {.version = slot.version,
                               .revision = slot.revision,
                               .stamp = slot.stamp,
                               .expires_at = slot.expires_at,
                               .ttl_rule = slot.ttl_rule,
                               .lost_keys = identity.lost_keys});
}

Result<std::vector<RedisStore::MaybeEntry>> RedisStore::decoded_entries(std::span<const std::string> names, Deadline deadline) {
  auto loaded = load_in_pieces(names, deadline);
  if (!loaded) return std::move(loaded).error();
  std::vector<MaybeEntry> out;
  out.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto& bytes = (*loaded)[i];
    if (!bytes) {
      out.emplace_back(std::nullopt);
      continue;
    }
    auto entry = decode_entry(*bytes, split_qualified(names[i]).bytes);
    if (!entry && !is_damage(entry.error())) return std::move(entry).error();
    out.push_back(entry ? MaybeEntry(*std::move(entry)) : MaybeEntry(std::move(entry).error()));
  }
  return out;
}

void RedisStore::complain(std::string_view what, std::string_view name, const Error& damage) {
  const auto [ns, id] = split_qualified(name);
  if (!complaints_.first(key_hash(ns, id))) return;
  const auto shard = shards_->of(ns, id);
  place_->logger().log(LogLevel::kError, what,
                       {{"ns", ns}, {"id", id}, {"redis_key", entry_name(shards_->head(shard), ns, id)}, {"reason", damage.describe()}});
}

Result<std::vector<Lookup>> RedisStore::get(const GetRecords& request) {
  auto parts = shards(request.deadline);
  if (!parts) return std::move(parts).error();
  if (cache_ != nullptr) return wait_for_cached(request);
  LookupSteps steps(*coder_, request.ns, request.keys, request.now, (*parts)->count() > 1, request.deadline);
  while (!steps.done()) {
    if (steps.wanted().empty()) {
      auto dictionaries = load_dictionaries(steps.dictionaries(), request.deadline);
      if (!dictionaries) return std::move(dictionaries).error();
      if (auto fed = steps.feed_dictionaries(*dictionaries); !fed) return std::move(fed).error();
      continue;
    }
    auto loaded = load_entries(steps.wanted(), request.deadline);
    if (!loaded) return std::move(loaded).error();
    if (auto fed = steps.feed(*std::move(loaded)); !fed) return std::move(fed).error();
  }
  return steps.take();
}

Result<Lookup> RedisStore::lookup_of(std::string_view name, const MaybeEntry& entry, TimePoint now, Deadline deadline) {
  return with_body(name, entry, deadline, [&](const std::optional<Entry>& there) -> Result<Lookup> {
    if (!there || !there->identity || there->identity->slot.state == State::kAbsent) return Lookup();
    const auto& slot = there->identity->slot;
    if (slot.state != State::kLive || (slot.expires_at && *slot.expires_at <= now)) {
      return Lookup{.status = Lookup::Status::kGone, .record = {}};
    }
    auto record = record_of(*there->identity, deadline);
    if (!record) return std::move(record).error();
    return Lookup{.status = Lookup::Status::kFound, .record = *std::move(record)};
  });
}

Result<Lookup> RedisStore::get_by_id(const GetById& request) {
  if (auto parts = shards(request.deadline); !parts) return std::move(parts).error();
  const auto name = qualified(request.ns, request.id);
  auto loaded = load_entries({&name, 1}, request.deadline);
  // Of the record nothing is left: whoever compares or restores must see that, and go on.
  if (!loaded && trouble_of(loaded.error()) == Trouble::kWrongType) {
    return Error(ErrorCode::kCorrupted, std::string(loaded.error().message())).from(ErrorSource::kRedis, 0, loaded.error().native_text());
  }
  if (!loaded) return std::move(loaded).error();
  auto& bytes = loaded->front();
  if (!bytes) return Lookup();
  auto entry = decode_entry(*bytes, request.id);
  if (!entry) return std::move(entry).error();
  return lookup_of(name, MaybeEntry(*std::move(entry)), request.now, request.deadline);
}

Result<std::vector<Lookup>> RedisStore::get_by_ids(const GetByIds& request) {
  if (auto parts = shards(request.deadline); !parts) return std::move(parts).error();
  std::vector<std::string> names;
  names.reserve(request.names.size());
  for (const auto& name : request.names) names.push_back(qualified(name.ns, name.id));
  auto entries = decoded_entries(names, request.deadline);
  if (!entries) return std::move(entries).error();
  std::vector<Lookup> out;
  out.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto lookup = lookup_of(names[i], (*entries)[i], request.now, request.deadline);
    if (!lookup) return std::move(lookup).error();
    out.push_back(*std::move(lookup));
  }
  return out;
}

// --- lists ----------------------------------------------------------------------------------------------------------------------

// The listing indexes that a request concerns, one name for each part and index.
Result<std::vector<RedisStore::Index>> RedisStore::indexes_of(const ListRecords& request) {
  std::vector<Index> indexes;
  if (!request.account.empty() && !request.flow.empty()) {
    const auto name = fmt::format("{}/{}", request.account, request.flow);
    for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) indexes.push_back({shard, name});
    return indexes;
  }
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    commands.push_back(RedisCommand("SMEMBERS").key(shards_->name(shard, "N:" + std::string(request.ns))).idempotent());
  }
  auto replies = place_->client().pipeline(commands, request.deadline);
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    if (!replies[shard]) return std::move(replies[shard]).error();
    for (const auto& member : replies[shard]->elements()) {
      const auto text = member.text();
      const auto slash = text.find('/');
      if (slash != std::string_view::npos && concerns(request, text)) indexes.push_back({shard, std::string(text)});
    }
  }
  return indexes;
}

class RedisStore::ListSize {
 public:
  void add(std::size_t bytes) noexcept {
    ++records_;
    bytes_ += bytes;
  }
  bool reached() const noexcept { return bytes_ >= kListPageBytes; }
  // Records to ask for.
  std::size_t next() const noexcept {
    if (records_ == 0) return kFirstOfList;
    const auto left = kListPageBytes - std::min(bytes_, kListPageBytes);
    return std::clamp<std::size_t>(left / std::max<std::size_t>(bytes_ / records_, 1), 1, kMostOfList);
  }

 private:
  std::size_t records_ = 0;
  std::size_t bytes_ = 0;
};

// Reads `names`, which come next in the index, into the page until it is full; true where it is.
Result<bool> RedisStore::add_listed(const ListRecords& request, std::span<const std::string> names, ListPage& page, ListSize& size) {
  auto entries = decoded_entries(names, request.deadline);
  if (!entries) return std::move(entries).error();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto id = split_qualified(names[i]).bytes;
    page.next = encode_scan_cursor(identity_hash(request.ns, id), request.ns, id);
    auto record =
        with_body(names[i], (*entries)[i], request.deadline, [&](const std::optional<Entry>& entry) -> Result<std::optional<Record>> {
          // What an index says is older than the entry: the record may have gone to another account or flow since.
          if (!live(entry) || !entry->identity->index || !concerns(request, *entry->identity->index)) return std::optional<Record>();
          const auto& slot = entry->identity->slot;
          if (slot.expires_at && *slot.expires_at <= request.now) return std::optional<Record>();
          auto found = record_of(*entry->identity, request.deadline);
          if (!found) return std::move(found).error();
          size.add(found->payload.size());
          if (!request.owner.empty() && found->owner != request.owner) return std::optional<Record>();
          return std::optional(*std::move(found));
        });
    if (!record && is_damage(record.error())) {
      // The others of the list are as good as before.
      complain("a record is damaged, and lists are without it", names[i], record.error());
      continue;
    }
    if (!record) return std::move(record).error();
    if (*record) page.records.push_back(**std::move(record));
    if (page.records.size() == request.limit || size.reached()) return true;
  }
  return false;
}

Result<ListPage> RedisStore::list(const ListRecords& request) {
  if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
  auto parts = shards(request.deadline);
  if (!parts) return std::move(parts).error();
  std::string from = "-";
  if (!request.cursor.empty()) {
    auto cursor = decode_scan_cursor(request.cursor);
    if (!cursor) return std::move(cursor).error();
    from = "(" + index_member(cursor->ns, cursor->id);
  }
  auto indexes = indexes_of(request);
  if (!indexes) return std::move(indexes).error();
  ListPage page;
  if (indexes->empty()) return page;
  ListSize size;
  // An owner is no part of an index: what is not theirs is passed over, in a bounded number of rounds.
  for (int round = 0; round < 64; ++round) {
    std::vector<RedisCommand> commands;
    for (const auto& [shard, name] : *indexes) {
      commands.push_back(RedisCommand("ZRANGEBYLEX")
                             .key(shards_->name(shard, "L:" + qualified(request.ns, name)))
                             .arg(from)
                             .arg("+")
                             .arg("LIMIT")
                             .arg(0)
                             .arg(static_cast<std::int64_t>(request.limit))
                             .idempotent());
    }
    std::vector<std::string> members;
    for (auto& reply : place_->client().pipeline(commands, request.deadline)) {
      if (!reply) return std::move(reply).error();
      for (const auto& member : reply->elements()) members.emplace_back(member.text());
    }
    std::ranges::sort(members);
    members.erase(std::unique(members.begin(), members.end()), members.end());
    const bool more = members.size() >= request.limit;
    if (members.size() > request.limit) members.resize(request.limit);
    std::vector<std::string> names;
    for (const auto& member : members) {
      if (member.size() < 8) return Error(ErrorCode::kCorrupted, "a damaged member of a listing index");
      names.push_back(qualified(request.ns, std::string_view(member).substr(8)));
    }
    for (std::size_t begin = 0; begin < names.size();) {
      const auto some = std::span(names).subspan(begin, std::min(names.size() - begin, size.next()));
      const auto full = add_listed(request, some, page, size);
      if (!full) return full.error();
      if (*full) return page;
      begin += some.size();
    }
    if (!more) {
      page.next.clear();
      return page;
    }
    from = "(" + members.back();
  }
  return page;
}

// --- scans ----------------------------------------------------------------------------------------------------------------------

// The identities behind `after` that come first, in order: one walk over all names of all masters. There is no index in that order, because
// every set would pay for it and only verification reads it.
Result<void> RedisStore::fill_window(const std::optional<PlaceView>& after, Deadline deadline) {
  window_ = FirstPlaces();
  FirstPlaces first(kWindow, kWindowBytes);
  const NameScan entries{.pattern = fmt::format("{}:{{k*}}:e:*", place_->prefix()), .type = "string", .step = 2000};
  auto walked = scan_names(place_->client(), entries, deadline, [&](std::span<const Reply> page) -> Result<bool> {
    for (const auto& element : page) {
      const auto at = element.text().find("}:e:");
      if (at == std::string_view::npos) continue;
      const auto [ns, id] = split_qualified(element.text().substr(at + 4));
      const PlaceView place{.hash = identity_hash(ns, id), .ns = ns, .id = id};
      if (!after || *after < place) first.add(place);
    }
    return true;
  });
  if (!walked) return walked;
  first.finish();
  window_ = std::move(first);
  return {};
}

Result<SummaryPage> RedisStore::scan(const ScanRecords& request) {
  if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
  auto parts = shards(request.deadline);
  if (!parts) return std::move(parts).error();
  std::optional<setget::detail::ScanCursor> cursor;
  if (!request.cursor.empty()) {
    auto decoded = decode_scan_cursor(request.cursor);
    if (!decoded) return std::move(decoded).error();
    cursor = *std::move(decoded);
  }
  auto turn = take_turn(scanning_, request.deadline);
  if (!turn) return std::move(turn).error();
  SummaryPage page;
  for (;;) {
    const auto after = cursor ? std::optional(PlaceView{.hash = cursor->hash, .ns = cursor->ns, .id = cursor->id}) : std::nullopt;
    if (!covers(after)) {
      window_from_.reset();
      if (auto filled = fill_window(after, request.deadline); !filled) return std::move(filled).error();
      window_from_ = cursor.value_or(setget::detail::ScanCursor());
    }
    auto at = after ? window_.behind(*after) : 0;
    const auto full = [&] { return page.items.size() + page.damaged.size() >= request.limit; };
    while (at < window_.size() && !full()) {
      const auto end = at + std::min(window_.size() - at, request.limit);
      std::vector<std::string> names;
      for (auto one = at; one != end; ++one) names.push_back(qualified(window_.at(one).ns, window_.at(one).id));
      auto entries = decoded_entries(names, request.deadline);
      if (!entries) return std::move(entries).error();
      for (std::size_t i = 0; i < names.size() && !full(); ++i, ++at) {
        const auto place = window_.at(at);
        cursor = {.hash = place.hash, .ns = std::string(place.ns), .id = std::string(place.id)};
        auto summary =
            with_body(names[i], (*entries)[i], request.deadline, [&](const std::optional<Entry>& entry) -> Result<std::optional<Summary>> {
              if (!entry || !entry->identity || entry->identity->slot.state == State::kAbsent) return std::optional<Summary>();
              auto line = summary_of(place, *entry->identity, request);
              if (!line) return std::move(line).error();
              return std::optional(*std::move(line));
            });
        if (!summary && is_damage(summary.error()) && request.over_damaged) {
          page.damaged.push_back({.hash = place.hash,
                                  .ns = std::string(place.ns),
                                  .id = std::string(place.id),
                                  .name = {},
                                  .reason = std::string(summary.error().message())});
          continue;
        }
        if (!summary) return std::move(summary).error();
        if (*summary) page.items.push_back(**std::move(summary));
      }
    }
    if (at == window_.size() && !window_.left_some()) return page;
    if (full()) {
      page.next = encode_scan_cursor(cursor->hash, cursor->ns, cursor->id);
      return page;
    }
  }
}

// Whether what comes next behind `after` is in the window.
bool RedisStore::covers(const std::optional<PlaceView>& after) const {
  if (!after || !window_from_ || window_.size() == 0) return false;
  if (*after < PlaceView{.hash = window_from_->hash, .ns = window_from_->ns, .id = window_from_->id}) return false;
  const auto last = window_.at(window_.size() - 1);
  return window_.left_some() ? *after < last : !(last < *after);
}

Result<Summary> RedisStore::summary_of(const PlaceView& place, const IdentityPart& identity, const ScanRecords& request) {
  const auto& slot = identity.slot;
  Summary summary;
  summary.hash = place.hash;
  summary.ns = place.ns;
  summary.id = place.id;
  summary.tombstone = slot.state != State::kLive;
  summary.reason = slot.reason;
  summary.version = slot.version;
  summary.revision = slot.revision;
  summary.expires_at = slot.expires_at;
  if (summary.tombstone) return summary;
  summary.stamp = slot.stamp;
  summary.ttl_rule = slot.ttl_rule;
  auto record = record_of(identity, request.deadline);
  if (!record) return std::move(record).error();
  summary.account = record->account;
  summary.flow = record->flow;
  summary.content = content_digest(*record);
  if (request.with_records) summary.record = *std::move(record);
  return summary;
}

}  // namespace setget::inline v0::redis
