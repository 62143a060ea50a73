// A record of the archive on its way back into the store. Thread rule: any thread.
#pragma once

#include <setget/key_store.hpp>
#include <setget/ttl.hpp>

namespace setget::inline v0::detail {

// The set that gives this record, without life and version.
Command command_of(Record&& record);
// As its producer most probably gave it, at the version and the revision that it has: for an apply() that ignores the floor. `encoded`:
// encoded_of(record), or empty.
ApplyEntry recalled_entry(Record&& record, const Flows& flows, Payload encoded = {});

}  // namespace setget::inline v0::detail
