// Dictionaries: where the store keeps the dictionaries of its codec, and which of them is each family's (docs/adr/0015-redis-codec.md). A
// family is what shares one: "NS/ACCOUNT/FLOW". Each dictionary has a number that no other has in its epoch. In the first part stand
//
//   d    hash  n: the last number; g: the generation, which grows with each change of what is current; f:FAMILY: the family's current
//              dictionary; o:NUMBER: the family of one that is not current (not yet, or no longer); a:NUMBER: when it was made
//   dg   zset  families, by the generation of their last change
//
// and in part NUMBER mod parts  d:NUMBER  string, its bytes; the same once more in the part that is half of all parts further, so that who
// loses one master of a cluster loses no body that another one holds. In each part u (hash) counts the records of this part that use a
// dictionary; it changes in the same step as they do. The generation stands in the meta of every part too, and every step that writes a
// body holds only while its part's meta is what it was: so once all parts have a new generation, nobody can use what it took away any more.
// Thread rule: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/client.hpp"
#include "redis/place.hpp"
#include "redis/shards.hpp"

namespace setget::inline v0::redis {

class Dictionaries {
 public:
  Dictionaries(Place& place, const Shards& shards) : place_(place), shards_(shards) {}

  // Where its bytes are: any of these has all of them.
  std::vector<std::string> bytes_names(std::uint32_t number) const;
  // nullopt: it is not there.
  Result<std::optional<std::string>> bytes(std::uint32_t number, Deadline deadline);
  // The families' current dictionaries; 0 = none.
  Result<std::vector<std::uint32_t>> current(std::span<const std::string> families, Deadline deadline);
  struct Changes {
    std::uint64_t generation = 0;
    std::vector<std::string> families{};
  };
  Result<Changes> changes_since(std::uint64_t generation, Deadline deadline);

  // Makes these bytes the family's current dictionary, if that is `expected` (0 = none) still; the old one becomes one of the old. No
  // `bytes`: the family has none from now on. Answers the new one's number. Returns once every part knows. nullopt: another process was
  // faster.
  Result<std::optional<std::uint32_t>> replace(const std::string& family, std::uint32_t expected, std::optional<std::string_view> bytes,
                                               Deadline deadline);
  // Drops a dictionary that is not current and that no record uses. `unused_too`: also one that has never been used. `surely`: whatever the
  // counts say, for who has looked at every record. False: records use it.
  Result<bool> drop(std::uint32_t number, bool unused_too, bool surely, Deadline deadline);
  // Those that are not current.
  Result<std::vector<std::uint32_t>> old_ones(const std::string& family, Deadline deadline);

  // One page of all dictionaries: what is current and used by nobody stops being current, and what is old and used by nobody goes.
  // Begins and ends with the cursor "0". Answers how many went.
  Result<std::size_t> sweep(std::string& cursor, Deadline deadline);

 private:
  struct Use {
    bool ever = false;
    bool now = false;
  };
  Result<std::vector<Use>> uses(std::span<const std::uint32_t> numbers, Deadline deadline);
  Result<void> tell_parts(Deadline deadline);

  Place& place_;
  const Shards& shards_;
};

}  // namespace setget::inline v0::redis
