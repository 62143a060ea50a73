// BodyCoder: how the encoded commands of records are stored, and read back; this one stores them as they are. See store_coder.hpp for the
// one that makes them smaller. Thread rule: any thread.
#pragma once

#include <optional>

#include "redis/store_entry.hpp"

#include <setget/key_store.hpp>

namespace setget::inline v0::redis {

class BodyCoder {
 public:
  virtual ~BodyCoder() = default;
  // Sets the codec, dictionary and body of `identity` for this command. Never waits and never fails: what cannot be made smaller is stored
  // as it is.
  virtual void store(const ApplyEntry& entry, IdentityPart& identity);
  // The encoded command. kCorrupted for damaged bytes, kUnsupported for a codec that this build has not. Never waits: nullopt where the
  // dictionary is not at hand, so that the caller asks for it, has the coder learn() it, and tries again.
  virtual Result<std::optional<Payload>> try_load(const IdentityPart& identity);
  virtual void learn(std::uint32_t, std::string_view) {}
  // The same for those who may wait. kUnavailable where there is no such dictionary (any more): whoever reads the entry once more finds it
  // with another one.
  virtual Result<Payload> load(const IdentityPart& identity, Deadline deadline);
};

// The dictionary that a body needs is not there: it was replaced after the body was read, or the store has lost it.
Error without_dictionary(std::uint32_t number);
bool is_without_dictionary(const Error& error) noexcept;
// kCorrupted: it will not come back.
Error lost_dictionary(std::uint32_t number);

}  // namespace setget::inline v0::redis
