#include "mongo/beside.hpp"

#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

namespace setget::inline v0::mongo {

Beside::~Beside() { end(); }

Result<void> Beside::look_at(const bson_t* document) {
  filling_.append(reinterpret_cast<const char*>(bson_get_data(document)), document->len);
  return filling_.size() < kBlock ? Result<void>() : hand_over();
}

Result<void> Beside::finish() {
  end();
  if (auto looked = result(); !looked) return looked;
  return look_through(std::exchange(filling_, {}));
}

// Of what was looked at so far.
Result<void> Beside::result() const {
  if (thrown_) std::rethrow_exception(thrown_);
  return failed_ ? Result<void>(*failed_) : Result<void>();
}

// Few documents are not worth a thread.
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

Result<void> Beside::hand_over() {
  if (!start()) {
    auto looked = look_through(filling_);
    filling_.clear();
    return looked;
  }
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_.size() < kWaiting || failed_ || thrown_; });
    if (auto looked = result(); !looked) return looked;
    waiting_.push_back(std::move(filling_));
    filling_.clear();
    if (!spare_.empty()) {
      filling_ = std::move(spare_.back());
      spare_.pop_back();
    }
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
    auto block = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    lock.unlock();
    changed_.notify_all();
    std::exception_ptr thrown;
    Result<void> looked;
    try {
      looked = look_through(block);
    } catch (...) {
      thrown = std::current_exception();
    }
    block.clear();
    lock.lock();
    thrown_ = std::move(thrown);
    if (!looked) failed_ = std::move(looked).error();
    spare_.push_back(std::move(block));
  }
  changed_.notify_all();
}

Result<void> Beside::look_through(const std::string& block) const {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(block.data());
  for (std::size_t at = 0; at < block.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, bytes + at, sizeof(length));
    length = BSON_UINT32_FROM_LE(length);
    bson_t document;
    if (!bson_init_static(&document, bytes + at, length)) return Error(ErrorCode::kInternal, "a document that was copied is none");
    if (auto looked = look_(Found{&document}); !looked) return looked;
    at += length;
  }
  return {};
}

}  // namespace setget::inline v0::mongo
