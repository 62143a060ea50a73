// Documents that are looked at on a second thread while this one waits for the server's next answer. What the driver gives holds until the
// next one, so they are copied; what is too large for that is better looked at where it stands.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "mongo/place.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::mongo {

// Thread rule: one thread; `look` is called by one at a time, in the order of the documents, and by none once finish() or the destructor
// has returned.
class Beside {
 public:
  using Look = std::function<Result<void>(Found)>;
  static constexpr std::size_t kMost = std::size_t{256} << 10;  // bytes of a document

  explicit Beside(Look look) : look_(std::move(look)) {}
  ~Beside();
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  // Blocks while more than two blocks wait. Errors: the first one of a look, maybe of an earlier document; nothing is looked at behind
  // that.
  Result<void> look_at(const bson_t* document);
  // Blocks until all were looked at.
  Result<void> finish();

 private:
  static constexpr std::size_t kBlock = std::size_t{64} << 10;
  static constexpr std::size_t kWaiting = 2;

  Result<void> look_through(const std::string& block) const;
  Result<void> hand_over();
  Result<void> result() const;
  bool start();
  void end();
  void run();

  const Look look_;
  std::string filling_;  // whole documents, one behind the other: each says its length first
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> waiting_;
  std::vector<std::string> spare_;  // blocks to be filled again
  std::optional<Error> failed_;
  std::exception_ptr thrown_;  // by a look: it goes on where the documents come from
  bool ended_ = false;
  bool alone_ = false;  // the system gives no thread
  std::thread thread_;
};

}  // namespace setget::inline v0::mongo
