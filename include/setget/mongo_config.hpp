// What [mongo] of a configuration means to the MongoDB backend: for hosts that read a configuration (setget/config.hpp) and open the
// archive themselves. open_stores() does the same for those that leave that to it.
#pragma once

#include <string>
#include <utility>

#include <setget/config.hpp>
#include <setget/mongo.hpp>

namespace setget::inline v0::mongo {

// Options for this URI, with everything that the section says; logger and metrics are the caller's to fill in.
inline Options options_of(const MongoConfig& config, std::string uri) {
  Options options;
  options.uri = std::move(uri);
  options.collection = config.collection;
  options.batch = config.batch;
  options.batch_bytes = config.batch_bytes;
  options.payload = config.documents ? PayloadForm::kDocument : PayloadForm::kBinary;
  options.max_inline_bytes = config.max_inline_bytes;
  options.ttl_index = config.ttl_index;
  options.connections = config.connections;
  options.connect_timeout = config.connect_timeout;
  options.timeout = config.timeout;
  options.retries = config.retries;
  return options;
}

}  // namespace setget::inline v0::mongo
