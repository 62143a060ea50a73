// The properties that hold for every backend, each as a function of the backend: embedded_test.cpp and redis_test.cpp say for which.
// `cases` is the number of random sequences where RC_PARAMS does not say otherwise. A failure is a GoogleTest failure.
#pragma once

#include "conformance/backends.hpp"

namespace setget_tests {

// After every step of a sequence, all that can be seen of the store is what the reference says.
void key_store_agrees(const ConformanceParams& params, int cases);
// What a subscriber builds from the change log alone is what the store holds: archives and mirrors depend on it.
void log_rebuilds_the_state(const ConformanceParams& params, int cases);
// Six random orders of each set of messages, with duplicates.
void every_order_gives_the_same_state(const ConformanceParams& params, int cases);

// kSeveral: each part of the queue looks at its own oldest messages, so that a receive may make dead letters of some whose turn would not
// have come yet.
enum class Parts { kOne, kSeveral };
void queue_agrees(const ConformanceParams& params, setget::QueueKind kind, int cases, Parts parts = Parts::kOne);

// Whole rounds of a Worker under faults. `fused`: store and queue settle in one step where they can.
void faults_do_not_show(const ConformanceParams& params, bool fused, int cases);

}  // namespace setget_tests
