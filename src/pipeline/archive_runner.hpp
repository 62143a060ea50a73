// Which archiver runs: a name that tells others whether its bearer can still be at work. Thread rule: any thread.
#pragma once

#include <string>

namespace setget::inline v0::detail {

// "HOST PID NONCE NUMBER", of one Archiver while it lives.
class RunnerName {
 public:
  RunnerName();
  ~RunnerName();
  RunnerName(const RunnerName&) = delete;
  RunnerName& operator=(const RunnerName&) = delete;
  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
};

// Random, of hexadecimal digits.
std::string random_name();

// True only if the bearer of `name` is certainly gone: an Archiver of this process that is no more, or a process of this host that has
// ended.
bool surely_gone(const std::string& name);

}  // namespace setget::inline v0::detail
