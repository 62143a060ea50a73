// DecidesOptions: what a queue backend can do besides its seam. Whoever opens a queue that others may be making or changing at the same
// moment decides on its options by those that are stored, and that has to be one step. Asked for by dynamic_cast; who finds it missing
// looks first and writes then. Thread rule: any thread.
#pragma once

#include <functional>
#include <string_view>

#include <setget/queue.hpp>

namespace setget::inline v0::detail {

// Its type is exported, so that shared libraries of one process agree on what it is; there is no function to export.
class SETGET_API DecidesOptions {
 public:
  // nullptr: there is no such queue. Pure: it may be asked more than once.
  using Decide = std::function<QueueOptions(const QueueOptions* stored)>;

  virtual ~DecidesOptions() = default;
  // As QueueBackend::create() with the options that `decide` gives, within the step that writes them.
  virtual Result<QueueInfo> create_by(std::string_view name, const Decide& decide, Deadline deadline) = 0;
};

}  // namespace setget::inline v0::detail
