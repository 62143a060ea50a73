// BodyCoder: how the encoded commands of records are stored, and read back. Thread rule: any thread.
#pragma once

#include "redis/store_entry.hpp"

#include <setget/key_store.hpp>

namespace setget::inline v0::redis {

class BodyCoder {
 public:
  virtual ~BodyCoder() = default;
  // Sets the codec, dictionary and body of `identity` for this command. Never fails: what cannot be made smaller is stored as it is.
  virtual void store(const ApplyEntry& entry, IdentityPart& identity);
  // The encoded command. kCorrupted for damaged bytes, kUnsupported for a codec that this build has not.
  virtual Result<Payload> load(std::string_view ns, const IdentityPart& identity, Deadline deadline);
};

}  // namespace setget::inline v0::redis
