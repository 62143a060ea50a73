// The queue seam on Redis. Thread rule: any thread.
#pragma once

#include <memory>

#include "redis/place.hpp"

#include <setget/queue.hpp>

namespace setget::inline v0::redis {

std::shared_ptr<QueueBackend> make_queues(std::shared_ptr<Place> place);

// The highest stamp up to `floor` below which nothing is unfinished in the queues of this place, nor will be. A floor may come from a queue
// elsewhere, which knows nothing of these.
Result<Stamp> floor_below_queues(std::shared_ptr<Place> place, Stamp floor, Deadline deadline);

}  // namespace setget::inline v0::redis
