// The content digest that a store keeps beside a record, so that verification need not read its body. Inline, because stores are libraries
// of their own. Thread rule: any thread.
#pragma once

#include <setget/key_store.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::detail {

// content_digest() of the record that this set makes. Of a set that says nothing beyond its record the bytes are the content's.
inline Digest content_of(const ApplyEntry& entry) {
  const auto& set = entry.command;
  const bool as_record = !set.ttl && !set.version && !set.expected_version;
  return as_record ? digest_of(entry.encoded.view()) : content_digest(set);
}

}  // namespace setget::inline v0::detail
