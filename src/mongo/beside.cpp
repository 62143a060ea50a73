#include "mongo/beside.hpp"

#include <system_error>

namespace setget::inline v0::mongo {

Beside::~Beside() { end(); }

Result<void> Beside::finish() {
  end();
  return result();
}

// Of what was looked at so far.
Result<void> Beside::result() const {
  if (thrown_) std::rethrow_exception(thrown_);
  return failed_ ? Result<void>(*failed_) : Result<void>();
}

bool Beside::has_room_for(std::size_t bytes) const noexcept {
  return waiting_.size() < kWaiting && (waiting_.empty() || bytes_ + bytes <= kBytes);
}

bool Beside::start() {
  if (thread_.joinable()) return true;
  if (alone_) return false;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    alone_ = true;
  }
  return !alone_;
}

Result<void> Beside::look_at(std::unique_ptr<Answer> answer) {
  if (!start()) return answer->each(look_);
  const auto bytes = answer->bytes();
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return has_room_for(bytes) || failed_ || thrown_; });
    if (auto looked = result(); !looked) return looked;
    bytes_ += bytes;
    waiting_.push_back(std::move(answer));
  }
  changed_.notify_all();
  return {};
}

void Beside::end() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Beside::run() {
  std::unique_lock lock(mutex_);
  while (!failed_ && !thrown_) {
    changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    auto answer = std::move(waiting_.front());
    waiting_.pop_front();
    bytes_ -= answer->bytes();
    lock.unlock();
    changed_.notify_all();
    std::exception_ptr thrown;
    Result<void> looked;
    try {
      looked = answer->each(look_);
    } catch (...) {
      thrown = std::current_exception();
    }
    answer.reset();
    lock.lock();
    thrown_ = std::move(thrown);
    if (!looked) failed_ = std::move(looked).error();
  }
  changed_.notify_all();
}

}  // namespace setget::inline v0::mongo
