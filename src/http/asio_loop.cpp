#include "http/asio_loop.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

namespace setget::inline v0::detail {

using boost::system::error_code;

bool AsioLoop::ended() {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool AsioLoop::post(Task task) {
  const std::lock_guard lock(mutex_);
  if (ended_) return false;
  try {
    boost::asio::post(io_, std::move(task));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool AsioLoop::after(Milliseconds time, Waiting waiting) {
  const std::lock_guard lock(mutex_);
  if (ended_) return false;
  try {
    const auto timer = std::make_shared<Timer>(io_, time);
    timers_.insert(timer);
    timer->async_wait([self = shared_from_this(), timer, called = std::move(waiting)](const error_code&) {
      bool ended = false;
      {
        const std::lock_guard own(self->mutex_);
        ended = self->ended_;
        self->timers_.erase(timer);
      }
      called(ended);
    });
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

bool AsioLoop::when_ready(int descriptor, bool to_write, Waiting waiting) {
  const std::lock_guard lock(mutex_);
  if (ended_) return false;
  try {
    auto at = descriptors_.find(descriptor);
    if (at == descriptors_.end()) {
      const int own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
      if (own < 0) return false;
      Descriptor added(io_);
      error_code failed;
      added.assign(own, failed);
      if (failed) {
        ::close(own);
        return false;
      }
      at = descriptors_.emplace(descriptor, std::move(added)).first;
    }
    const auto direction = to_write ? Descriptor::wait_write : Descriptor::wait_read;
    at->second.async_wait(direction, [self = shared_from_this(), called = std::move(waiting)](const error_code& error) {
      const bool cancelled = error == boost::asio::error::operation_aborted;
      // Cancelled but not ended: forgotten.
      if (!cancelled || self->ended()) called(cancelled);
    });
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void AsioLoop::forget(int descriptor) noexcept {
  const std::lock_guard lock(mutex_);
  descriptors_.erase(descriptor);
}

void AsioLoop::end() noexcept {
  const std::lock_guard lock(mutex_);
  if (std::exchange(ended_, true)) return;
  descriptors_.clear();
  for (const auto& timer : timers_) timer->cancel();
}

}  // namespace setget::inline v0::detail
