// Dead letters, seen with the store that they were meant for. Thread rule: any thread.
#pragma once

#include <cstddef>

#include <setget/error.hpp>
#include <setget/key_store.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0 {

struct Redriven {
  std::size_t moved = 0;
  // Left as dead letters: sets that were accepted before the store's floor, of identities of which it knows nothing any more. Applied as
  // they are they would end as `expired`, and their payload with them. RedriveDeadLetters::restamp moves these too: as if they were
  // accepted now, whatever may have been set and erased in between.
  std::size_t left = 0;
};

// QueueBackend::redrive() for whoever wants nothing to be lost by it: oldest first, until `limit` were moved or none is left that may be.
// Looks through the letters that it leaves anew each time. Blocks until `deadline`; what was moved by then is the answer, an error where
// that is nothing. Errors: those of QueueBackend::dead_letters() and redrive(), KeyStoreBackend::stats() and get_by_id(). A floor that
// rises between the look and the move, when an archive run ends in that moment, is not seen.
SETGET_API Result<Redriven> redrive(QueueBackend& queue, KeyStoreBackend& store, const RedriveDeadLetters& request);

}  // namespace setget::inline v0
