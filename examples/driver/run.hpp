// The run itself: send, wait, read back, compare. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "http_client.hpp"

namespace driver {

struct Summary {
  std::size_t payloads = 0;
  std::size_t accepted = 0;
  std::size_t replayed = 0;  // same Idempotency-Key again: the first answer once more
  std::size_t rejected = 0;  // refused at the door, as they had to be
  std::map<std::string, std::size_t> outcomes;
  std::size_t records_read = 0;
  std::size_t keys_read = 0;
  double set_p50_ms = 0, set_p99_ms = 0, get_p50_ms = 0, get_p99_ms = 0;
  double sets_per_second = 0;  // from the first call until the queue was empty
  double gets_per_second = 0;
  std::vector<std::string> differences;  // empty = all is as it must be
};

// `api` and `admin` are the server's two listeners. Throws Failure if the server cannot be talked to.
Summary run(const Address& api, const Address& admin, const std::vector<Delivery>& deliveries);

}  // namespace driver
