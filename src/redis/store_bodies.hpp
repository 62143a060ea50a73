// Reading what an entry holds, though its dictionary may have been replaced since the entry was read. Included by what reads records.
#pragma once

#include <utility>

#include "redis/store.hpp"

namespace setget::inline v0::redis {

// What nobody can read again, whoever asks and however often.
inline bool is_damage(const Error& error) noexcept { return error.code() == ErrorCode::kCorrupted; }

template <class Use>
std::invoke_result_t<Use, const std::optional<Entry>&> RedisStore::with_body(std::string_view name, const MaybeEntry& entry,
                                                                             Deadline deadline, Use&& use) {
  if (!entry) return entry.error();
  auto used = use(*entry);
  auto missing = *entry ? dictionary_of(**entry) : 0;
  while (!used && is_without_dictionary(used.error())) {
    const std::string again(name);
    auto read = decoded_entries({&again, 1}, deadline);
    if (!read) return std::move(read).error();
    const auto& now = read->front();
    if (!now) return now.error();
    used = use(*now);
    if (used || !is_without_dictionary(used.error())) break;
    // A dictionary goes after the last body that needs it: where the body still does, there is none to wait for.
    const auto number = dictionary_of(**now);
    if (number == missing) return lost_dictionary(number);
    missing = number;
  }
  return used;
}

}  // namespace setget::inline v0::redis
