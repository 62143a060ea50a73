// What [redis] of a configuration means to the Redis backend: for hosts that read a configuration (setget/config.hpp) and open the store
// themselves. open_stores() does the same for those that leave that to it.
#pragma once

#include <string>
#include <utility>

#include <setget/config.hpp>
#include <setget/redis.hpp>

namespace setget::inline v0::redis {

// Options for this URI, with everything that the section says; clock, random, logger and metrics are the caller's to fill in.
inline Options options_of(const RedisConfig& config, std::string uri) {
  Options options;
  options.uri = std::move(uri);
  options.prefix = config.prefix;
  options.shards = config.shards;
  options.partitions = config.partitions;
  options.wait_replicas = config.wait_replicas;
  options.wait_timeout = config.wait_timeout;
  options.codec = {.enabled = config.codec,
                   .level = config.codec_level,
                   .min_bytes = config.codec_min_bytes,
                   .max_percent = config.codec_max_percent,
                   .dictionary_bytes = config.dictionary_bytes,
                   .sample_records = config.dictionary_sample_records,
                   .sample_bytes = config.dictionary_sample_bytes};
  options.cache = {.enabled = config.cache.enabled,
                   .max_entries = config.cache.max_entries,
                   .max_bytes = config.cache.max_bytes,
                   .max_silence = config.cache.max_silence,
                   .serve_stale = config.cache.serve_stale,
                   .max_stale = config.cache.max_stale};
  return options;
}

}  // namespace setget::inline v0::redis
