// Range digests in one walk over all names, in the order in which the servers have them. Of an entry come its first bytes, where the digest
// of the content stands since it was set; so no payload moves. Entries of before that was so, and those whose bytes are asked for, are read
// whole.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/range_digest.hpp"
#include "redis/scan.hpp"
#include "redis/store_bodies.hpp"
#include "redis/store_names.hpp"
#include "redis/turns.hpp"

namespace setget::inline v0::redis {
namespace {

using State = IdentitySlot::State;

constexpr std::int64_t kHeadBytes = 160;       // more than heads have, but for many lost keys
constexpr std::size_t kReadWhole = 64;         // at a time
constexpr std::size_t kMostInOrder = 250'000;  // lines that are kept until ranges are cut

// What entry_name() was made of. Empty: it has not made this one.
std::optional<std::string_view> qualified_in(std::string_view name) {
  const auto at = name.find("}:e:");
  return at == std::string_view::npos ? std::nullopt : std::optional(name.substr(at + 4));
}

// Lines in no order, to ranges. While they are few they are kept; the ranges are cut by what was seen until then, and all others are added
// to theirs.
class Gathering {
 public:
  explicit Gathering(setget::detail::RangeSums sums) : sums_(std::move(sums)) {}

  void add(std::uint64_t hash, const Digest& line) {
    if (!ranges_.empty()) return setget::detail::range_of(ranges_, hash).add(line);
    lines_.push_back({hash, line});
    if (lines_.size() == kMostInOrder) cut();
  }
  std::vector<RangeDigest> take() {
    if (ranges_.empty()) cut();
    return std::move(ranges_);
  }

 private:
  struct Line {
    std::uint64_t hash;
    Digest digest;
    friend bool operator==(const Line&, const Line&) = default;
  };
  void cut() {
    std::ranges::sort(lines_, [](const Line& a, const Line& b) {
      if (a.hash != b.hash) return a.hash < b.hash;
      return a.digest.high != b.digest.high ? a.digest.high < b.digest.high : a.digest.low < b.digest.low;
    });
    // SCAN may give a name twice.
    lines_.erase(std::unique(lines_.begin(), lines_.end()), lines_.end());
    for (const auto& line : lines_) sums_.add(line.hash, line.digest);
    ranges_ = sums_.take();
    lines_ = {};
  }

  setget::detail::RangeSums sums_;
  std::vector<Line> lines_;
  std::vector<RangeDigest> ranges_;
};

}  // namespace

Result<std::vector<RangeDigest>> RedisStore::digest(const DigestRecords& request) {
  if (auto parts = shards(request.deadline); !parts) return std::move(parts).error();
  auto sums = setget::detail::RangeSums::of(request);
  if (!sums) return std::move(sums).error();
  {
    // Who asks for digests looks behind them into what differs. What an older walk had found must not be taken for all there is.
    auto turn = take_turn(scanning_, request.deadline);
    if (!turn) return std::move(turn).error();
    window_from_.reset();
  }
  Gathering gathering(*std::move(sums));
  std::vector<std::string> whole;
  const auto add = [&](const PlaceView& place, const IdentityPart& identity, const Digest& content) {
    Summary line{.hash = place.hash, .ns = std::string(place.ns), .id = std::string(place.id)};
    line.version = identity.slot.version;
    line.revision = identity.slot.revision;
    line.expires_at = identity.slot.expires_at;
    line.content = content;
    line.stamp = identity.slot.stamp;
    line.ttl_rule = identity.slot.ttl_rule;
    if (setget::detail::counts(line, request.now)) gathering.add(line.hash, entry_digest(line));
  };
  const auto read_whole = [&]() -> Result<void> {
    while (!whole.empty()) {
      const auto some = std::span(whole).last(std::min(kReadWhole, whole.size()));
      auto entries = decoded_entries(some, request.deadline);
      if (!entries) return std::move(entries).error();
      for (std::size_t i = 0; i < some.size(); ++i) {
        const auto [ns, id] = split_qualified(some[i]);
        const PlaceView place{.hash = identity_hash(ns, id), .ns = ns, .id = id};
        const auto added = with_body(some[i], (*entries)[i], request.deadline, [&](const std::optional<Entry>& entry) -> Result<void> {
          if (!entry || !entry->identity || entry->identity->slot.state != State::kLive) return {};
          auto record = record_of(*entry->identity, request.deadline);
          if (!record) return std::move(record).error();
          add(place, *entry->identity, content_digest(*record));
          return {};
        });
        if (!added && !is_damage(added.error())) return added.error();
        // Its range is like no other, and whoever looks at it closely finds it.
        if (!added) gathering.add(place.hash, entry_digest({.hash = place.hash, .ns = std::string(ns), .id = std::string(id)}));
      }
      whole.resize(whole.size() - some.size());
    }
    return {};
  };
  const auto look_at_heads = [&](std::span<const Reply> page) -> Result<void> {
    std::vector<RedisCommand> commands;
    commands.reserve(page.size());
    for (const auto& name : page) {
      commands.push_back(RedisCommand("GETRANGE").key(name.text()).arg(std::int64_t{0}).arg(kHeadBytes - 1).idempotent());
    }
    const auto heads = place_->client().pipeline(commands, request.deadline);
    for (std::size_t i = 0; i < page.size(); ++i) {
      if (!heads[i]) return heads[i].error();
      const auto name = qualified_in(page[i].text());
      if (!name) continue;
      auto identity = decode_identity(heads[i]->text());
      if (identity && (!*identity || (*identity)->slot.state != State::kLive)) continue;
      const auto [ns, id] = split_qualified(*name);
      const PlaceView place{.hash = identity_hash(ns, id), .ns = ns, .id = id};
      if (!identity || !(*identity)->content || request.deep.takes(place.hash)) {
        whole.emplace_back(*name);
      } else {
        add(place, **identity, *(*identity)->content);
      }
    }
    return {};
  };
  const NameScan entries{.pattern = fmt::format("{}:{{k*}}:e:*", place_->prefix()), .type = "string", .step = 2000};
  auto walked = scan_names(place_->client(), entries, request.deadline, [&](std::span<const Reply> page) -> Result<bool> {
    if (request.go_on) {
      if (auto on = request.go_on(); !on) return std::move(on).error();
    }
    if (request.deep.of == 1) {
      for (const auto& one : page) {
        if (const auto name = qualified_in(one.text())) whole.emplace_back(*name);
      }
    } else if (auto looked = look_at_heads(page); !looked) {
      return std::move(looked).error();
    }
    auto read = read_whole();
    if (!read) return std::move(read).error();
    return true;
  });
  if (!walked) return std::move(walked).error();
  return gathering.take();
}

}  // namespace setget::inline v0::redis
