// The queue seam on Redis. Thread rule: any thread.
#pragma once

#include <memory>

#include "redis/place.hpp"

#include <setget/queue.hpp>

namespace setget::inline v0::redis {

std::shared_ptr<QueueBackend> make_queues(std::shared_ptr<Place> place);

}  // namespace setget::inline v0::redis
