// Shards: into how many parts a store is spread, and the names of what is in them. A part has a hash tag of its own, so that all of it
// lives in one slot and can change in one step; the tags are chosen so that the parts lie evenly over the slots of a cluster.
//
// Names: PREFIX:m, and in part n PREFIX:{TAG}:WHAT. Names of users come last and after the tag, so no byte of theirs can mean anything.
// Thread rule: immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace setget::inline v0::redis {

class Shards {
 public:
  // Precondition: `count` is a power of two. `family` is the first letter of the tags: those of the key store and of queues differ.
  Shards(std::string_view prefix, std::uint32_t count, char family);

  std::uint32_t count() const noexcept { return count_; }
  // Where a user's bytes belong: by XXH3, so that nobody's names crowd one part by chance.
  std::uint32_t of(std::string_view ns, std::string_view bytes) const noexcept;
  // "PREFIX:{TAG}:" and `what`.
  std::string name(std::uint32_t shard, std::string_view what) const { return heads_[shard] + std::string(what); }
  std::string_view head(std::uint32_t shard) const noexcept { return heads_[shard]; }
  // Of everything in this part.
  std::uint32_t slot(std::uint32_t shard) const noexcept { return slots_[shard]; }

 private:
  std::uint32_t count_;
  std::vector<std::string> heads_;
  std::vector<std::uint32_t> slots_;
};

}  // namespace setget::inline v0::redis
