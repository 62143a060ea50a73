// The backend under test, shared by all sequences of a property: each works in a namespace or a queue of its own, which costs far less than
// a fresh store.
#pragma once

#include <memory>
#include <string>

#include "conformance/backends.hpp"

namespace setget_tests {

struct Subject {
  explicit Subject(const ConformanceParams& params) {
    environment.clock = std::make_shared<setget::testing::SimulatedClock>();
    environment.random = std::make_shared<setget::testing::SeededRandom>(1);
    stores = params.make(environment).value();
    base = setget::stamp_at(environment.clock->now());
  }
  setget::TimePoint now() const { return environment.clock->now(); }
  void advance(setget::Milliseconds by) const { environment.clock->advance(by); }
  setget::KeyStoreBackend& store() const { return *stores.key_store.backend(); }
  setget::QueueBackend& queues() const { return *stores.queues; }
  std::string fresh_name() { return "m" + std::to_string(++sequences); }

  setget::testing::Environment environment;
  setget::testing::Stores stores;
  setget::Stamp base = 0;   // stamps of a sequence are just above it
  setget::Stamp floor = 0;  // of the store, from reclaims so far
  std::size_t sequences = 0;
};

}  // namespace setget_tests
