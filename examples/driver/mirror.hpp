// Two servers side by side: the second must answer every key as the first does. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "http_client.hpp"

namespace driver {

struct Mirrored {
  std::size_t keys = 0;
  std::vector<std::string> differences;  // empty = all is as it must be
};

// Reads every key of the corpus from both. `tier`: which one the second must say that answered. Throws Failure if a server cannot be
// talked to.
Mirrored mirror(const Address& first, const Address& second, const std::vector<Delivery>& deliveries, const std::string& tier);

}  // namespace driver
