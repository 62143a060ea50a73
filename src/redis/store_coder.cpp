#include "redis/store_coder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::size_t kMostCached = 128;       // dictionaries; each takes up to about ten times its bytes
constexpr std::size_t kMostFamilies = 65'536;  // whose current dictionary is remembered
constexpr std::size_t kMostSampled = 1024;     // families of which samples are noted

}  // namespace

std::string family_of(std::string_view ns, std::string_view account, std::string_view flow) {
  std::string out;
  out.reserve(ns.size() + account.size() + flow.size() + 2);
  out.append(ns).append(1, '/').append(account).append(1, '/').append(flow);
  return out;
}

// --- bodies -------------------------------------------------------------------------------------------------------------------------

void Coder::store(const ApplyEntry& entry, IdentityPart& identity) {
  BodyCoder::store(entry, identity);
  const auto bytes = entry.encoded.view();
  if (!options_.enabled || bytes.size() < options_.min_bytes || bytes.size() > kMostBodyBytes) return;
  const auto& c = entry.command;
  const auto family = family_of(c.ns, c.account, c.flow);
  std::uint32_t number = 0;
  Dictionary dictionary;
  bool known = false;
  {
    const std::shared_lock lock(mutex_);
    const auto at = current_.find(family);
    known = at != current_.end();
    if (known && at->second != 0) {
      const auto cached = cached_.find(at->second);
      if (cached != cached_.end()) {
        number = at->second;
        dictionary = cached->second.dictionary;
      }
    }
  }
  if (known && number == 0 && options_.dictionary_bytes != 0) note(entry, family);
  auto shrunk = shrink(bytes, dictionary.get(), static_cast<int>(options_.level), bytes.size() * options_.max_percent / 100);
  if (!shrunk) return;
  identity.codec = BodyCodec::kZstd;
  identity.dictionary = number;
  identity.body = Payload::adopt(*std::move(shrunk));
}

Result<std::optional<Payload>> Coder::try_load(const IdentityPart& identity) {
  if (identity.codec != BodyCodec::kZstd) return BodyCoder::try_load(identity);
  Dictionary dictionary;
  if (identity.dictionary != 0 && zstd_available()) {
    dictionary = at_hand(identity.dictionary);
    if (dictionary == nullptr) return std::optional<Payload>();
  }
  auto expanded = expand(identity.body.view(), dictionary.get());
  if (!expanded) return std::move(expanded).error();
  return std::optional(*std::move(expanded));
}

Result<Payload> Coder::load(const IdentityPart& identity, Deadline deadline) {
  auto loaded = try_load(identity);
  if (!loaded) return std::move(loaded).error();
  if (*loaded) return **std::move(loaded);
  auto fetched = fetch(identity.dictionary, deadline);
  if (!fetched) return std::move(fetched).error();
  if (*fetched != nullptr) return expand(identity.body.view(), fetched->get());
  return without_dictionary(identity.dictionary);
}

void Coder::learn(std::uint32_t number, std::string_view bytes) { (void)keep(number, bytes); }

Coder::Dictionary Coder::keep(std::uint32_t number, std::string_view bytes) {
  const std::unique_lock lock(mutex_);
  if (const auto at = cached_.find(number); at != cached_.end()) return at->second.dictionary;
  if (cached_.size() >= kMostCached) {
    cached_.erase(std::ranges::min_element(cached_, {}, [](const auto& one) { return one.second.used.load(); }));
  }
  auto dictionary = std::make_shared<const ZstdDictionary>(std::string(bytes), static_cast<int>(options_.level));
  auto& cached = cached_[number];
  cached.dictionary = dictionary;
  cached.used = ++clock_;
  return dictionary;
}

// --- dictionaries -------------------------------------------------------------------------------------------------------------------

Result<Dictionaries> Coder::dictionaries() const {
  const auto* parts = parts_.load();
  if (parts == nullptr) return Error(ErrorCode::kUnavailable, "the store on Redis has not been found yet; try again");
  return Dictionaries(place_, *parts);
}

Coder::Dictionary Coder::at_hand(std::uint32_t number) const {
  const std::shared_lock lock(mutex_);
  const auto at = cached_.find(number);
  if (at == cached_.end()) return nullptr;
  at->second.used.store(clock_.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  return at->second.dictionary;
}

Result<Coder::Dictionary> Coder::fetch(std::uint32_t number, Deadline deadline) {
  auto known = dictionaries();
  if (!known) return std::move(known).error();
  auto bytes = known->bytes(number, deadline);
  if (!bytes) return std::move(bytes).error();
  if (!*bytes) return Dictionary();
  return keep(number, **bytes);
}

Result<void> Coder::look_up(std::span<const std::string> families, Deadline deadline) {
  auto known = dictionaries();
  if (!known) return std::move(known).error();
  const auto before = generation_.load();
  auto numbers = known->current(families, deadline);
  if (!numbers) return std::move(numbers).error();
  for (auto& number : *numbers) {
    if (number == 0 || at_hand(number) != nullptr) continue;
    auto fetched = fetch(number, deadline);
    if (!fetched) return std::move(fetched).error();
  }
  const std::unique_lock lock(mutex_);
  if (generation_ != before) return {};  // what was read may be older than what is known now
  if (current_.size() > kMostFamilies) current_.clear();
  for (std::size_t i = 0; i < families.size(); ++i) current_.insert_or_assign(families[i], (*numbers)[i]);
  return {};
}

Result<void> Coder::see(const StoreIdentity& identity, std::uint64_t generation, Deadline deadline) {
  if (has_seen(identity, generation)) return {};
  auto turn = take_turn(seeing_, deadline);
  if (!turn) return std::move(turn).error();
  if (identity_ != identity) {
    const std::unique_lock lock(mutex_);
    if (identity_) cached_.clear();
    current_.clear();
    identity_ = identity;
    generation_ = generation;
    return {};
  }
  if (generation <= generation_) return {};
  auto known = dictionaries();
  if (!known) return std::move(known).error();
  auto changes = known->changes_since(generation_, deadline);
  if (!changes) return std::move(changes).error();
  std::vector<std::string> again;
  {
    const std::unique_lock lock(mutex_);
    for (auto& family : changes->families) {
      if (current_.erase(family) > 0) again.push_back(std::move(family));
    }
    generation_ = std::max(generation, changes->generation);
  }
  if (!again.empty()) (void)look_up(again, deadline);
  return {};
}

bool Coder::has_seen(const StoreIdentity& identity, std::uint64_t generation) const {
  const std::shared_lock lock(mutex_);
  return identity_ == identity && generation_ >= generation;
}

void Coder::prepare(std::span<const ApplyEntry> entries, Deadline deadline) {
  if (!options_.enabled) return;
  std::vector<std::string> unknown;
  const Command* last = nullptr;
  for (const auto& entry : entries) {
    const auto& c = entry.command;
    if (c.kind != CommandKind::kSet || entry.encoded.size() < options_.min_bytes) continue;
    if (last != nullptr && last->ns == c.ns && last->account == c.account && last->flow == c.flow) continue;
    last = &c;
    auto family = family_of(c.ns, c.account, c.flow);
    const std::shared_lock lock(mutex_);
    const auto at = current_.find(family);
    if (at != current_.end() && (at->second == 0 || cached_.contains(at->second))) continue;
    unknown.push_back(std::move(family));
  }
  std::ranges::sort(unknown);
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  if (!unknown.empty()) (void)look_up(unknown, deadline);
}

// --- training -----------------------------------------------------------------------------------------------------------------------

// Names, not bytes: what is erased before the training is no part of it.
void Coder::note(const ApplyEntry& entry, const std::string& family) {
  const std::scoped_lock lock(samples_mutex_);
  if (samples_.size() >= kMostSampled && !samples_.contains(family)) return;
  auto& samples = samples_[family];
  if (samples.names.size() >= options_.sample_records || samples.bytes >= options_.sample_bytes) return;
  samples.names.push_back(qualified(entry.command.ns, entry.command.id));
  samples.bytes += entry.encoded.size();
}

std::optional<Coder::Sampled> Coder::take_sampled() {
  if (!options_.enabled || !zstd_available()) return std::nullopt;
  const std::scoped_lock lock(samples_mutex_);
  for (auto at = samples_.begin(); at != samples_.end(); ++at) {
    const auto& samples = at->second;
    if (samples.names.size() < options_.sample_records && samples.bytes < options_.sample_bytes) continue;
    Sampled out{.family = at->first, .names = std::move(at->second.names)};
    samples_.erase(at);
    return out;
  }
  return std::nullopt;
}

}  // namespace setget::inline v0::redis
