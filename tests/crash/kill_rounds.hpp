// kill -9 at random points, wherever a pipeline keeps its things. Failures are GoogleTest failures.
#pragma once

#include <cstdint>
#include <functional>

#include "crash/place.hpp"

namespace crash {

// What SETGET_CRASH_ROUNDS says; else `otherwise`. `percent`: where a round is dear, a share of it.
std::uint64_t rounds(std::uint64_t otherwise, std::uint64_t percent = 100);

// Gives an empty place each time, that lives until the next call.
using FreshPlace = std::function<Place()>;

// Producers and worker die together; then everything that was acknowledged is there.
void kill_everything(const FreshPlace& fresh, std::uint64_t rounds);
// A worker in a process of its own dies; what it was at is done by others.
void kill_worker(const FreshPlace& fresh, std::uint64_t rounds);
// An archiver dies; the next run and a deep verification find the archive complete. `after_kill` is called when one has died.
void kill_archiver(const FreshPlace& fresh, std::uint64_t rounds, const std::function<void()>& after_kill = {});

// Producers, worker and archiver die together where every state of every record is kept; after the next run the past is what it was, to the
// millisecond. `most_lines`: of each victim, before it dies; gets of the past are dear on some servers.
void kill_with_history(const FreshPlace& fresh, std::uint64_t rounds, std::uint64_t most_lines = 100,
                       const std::function<void()>& after_kill = {});

}  // namespace crash
