// Coder: bodies made smaller with zstd, by a dictionary of their family ("NS/ACCOUNT/FLOW") where it has one; see dictionaries.hpp for
// where those are kept. Knows the current dictionaries as of one generation, and has those at hand that were used of late.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "redis/dictionaries.hpp"
#include "redis/store_body.hpp"
#include "redis/turns.hpp"
#include "redis/zstd_door.hpp"

#include <setget/redis.hpp>

namespace setget::inline v0::redis {

std::string family_of(std::string_view ns, std::string_view account, std::string_view flow);

class Coder final : public BodyCoder {
 public:
  explicit Coder(Place& place) : place_(place), options_(place.options().codec) {}

  // --- BodyCoder ------------------------------------------------------------------------------------------------------------------
  void store(const ApplyEntry& entry, IdentityPart& identity) override;
  Result<Payload> load(const IdentityPart& identity, Deadline deadline) override;
  Result<std::optional<Payload>> try_load(const IdentityPart& identity) override;
  void learn(std::uint32_t number, std::string_view bytes) override;

  // --- what it must be told -------------------------------------------------------------------------------------------------------
  // Once, before anything else.
  void attach(const Shards& parts) { parts_ = &parts; }
  // Whose store it is, and the generation that one of its parts has. Afterwards store() uses nothing that is older than that.
  Result<void> see(const StoreIdentity& identity, std::uint64_t generation, Deadline deadline);
  bool has_seen(const StoreIdentity& identity, std::uint64_t generation) const;
  // Ahead of store(), where waiting is allowed: the dictionaries of these entries' families. Without them bodies are only larger.
  void prepare(std::span<const ApplyEntry> entries, Deadline deadline);
  void prepare_family(const std::string& family, Deadline deadline) { (void)look_up({&family, 1}, deadline); }

  // --- training -------------------------------------------------------------------------------------------------------------------
  // A family that has no dictionary, and of which enough was stored: the qualified names of some of its records. Once for each.
  struct Sampled {
    std::string family{};
    std::vector<std::string> names{};
  };
  std::optional<Sampled> take_sampled();
  const CodecOptions& options() const noexcept { return options_; }
  Result<Dictionaries> dictionaries() const;

 private:
  using Dictionary = std::shared_ptr<const ZstdDictionary>;
  struct Cached {
    Dictionary dictionary{};
    mutable std::atomic<std::uint64_t> used{0};
  };
  struct Samples {
    std::vector<std::string> names{};
    std::size_t bytes = 0;
  };
  Dictionary keep(std::uint32_t number, std::string_view bytes);
  Dictionary at_hand(std::uint32_t number) const;
  Result<Dictionary> fetch(std::uint32_t number, Deadline deadline);
  Result<void> look_up(std::span<const std::string> families, Deadline deadline);
  void note(const ApplyEntry& entry, const std::string& family);

  Place& place_;
  const CodecOptions options_;
  std::atomic<const Shards*> parts_{nullptr};

  setget::detail::Turns seeing_;
  std::atomic<std::uint64_t> generation_{0};

  mutable std::shared_mutex mutex_;
  std::optional<StoreIdentity> identity_{};
  std::unordered_map<std::string, std::uint32_t> current_;  // by family; 0 = it has none
  std::unordered_map<std::uint32_t, Cached> cached_;
  mutable std::atomic<std::uint64_t> clock_{0};

  std::mutex samples_mutex_;
  std::unordered_map<std::string, Samples> samples_;
};

}  // namespace setget::inline v0::redis
