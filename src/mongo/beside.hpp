// Answers that are looked at on a second thread while this one waits for the server's next one.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "mongo/answers.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::mongo {

// Thread rule: one thread; `look` is called by one at a time, in the order of the documents, and by none once finish() or the destructor
// has returned.
class Beside {
 public:
  static constexpr std::size_t kWaiting = 2;                   // answers, beside the one that is looked at
  static constexpr std::size_t kBytes = std::size_t{8} << 20;  // of them, unless one alone has more

  explicit Beside(Place::Visit look) : look_(std::move(look)) {}
  ~Beside();
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  // Blocks while as many wait as may. Errors: the first one of a look, maybe of an earlier answer; nothing is looked at behind that.
  Result<void> look_at(std::unique_ptr<Answer> answer);
  // Blocks until all were looked at.
  Result<void> finish();

 private:
  Result<void> result() const;
  bool has_room_for(std::size_t bytes) const noexcept;
  bool start();
  void end();
  void run();

  const Place::Visit look_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Answer>> waiting_;
  std::size_t bytes_ = 0;  // of those
  std::optional<Error> failed_;
  std::exception_ptr thrown_;  // by a look: it goes on where the answers come from
  bool ended_ = false;
  bool alone_ = false;  // the system gives no thread
  std::thread thread_;
};

}  // namespace setget::inline v0::mongo
