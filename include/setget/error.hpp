// Error and Result: how every fallible call of the SDK answers. Nothing that the SDK throws crosses its border; the one
// exception is Result::value() called on an error, which is the host's own assertion.
// Thread rule: values; const access from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <setget/export.hpp>

namespace setget::inline v0 {

enum class ErrorCode : std::uint8_t {
  kInvalidArgument = 1,     // the caller's input breaks a rule; see field(), position() and reasons()
  kNotFound = 2,            // a named thing (queue, cursor, flow) does not exist; a missing key is never an error
  kAlreadyExists = 3,       // made before with other options
  kFailedPrecondition = 4,  // the system is not in the state that the call needs
  kConflict = 5,            // somebody else changed it first
  kTooLarge = 6,            // over a stated limit
  kResourceExhausted = 7,   // a bound (buffer, pool, in flight) is reached; retryable
  kOutOfSpace = 8,          // the disk or the server's memory is full
  kUnavailable = 9,         // the backend cannot be reached or is busy; retryable
  kDeadlineExceeded = 10,   // not finished in time; the effect may or may not have taken place; retryable
  kCancelled = 11,          // the pipeline is stopping
  kLeaseLost = 12,          // the receipt no longer holds its message
  kCorrupted = 13,          // stored bytes are damaged or not ours
  kUnsupported = 14,        // this backend or this version cannot do it
  kInternal = 15,           // a bug, or an exception out of a host callback
};

// The stable, lower-case name of a code, e.g. "invalid_argument".
SETGET_API std::string_view to_string(ErrorCode code) noexcept;

// Where an error was first seen.
enum class ErrorSource : std::uint8_t { kSdk, kSqlite, kRedis, kMongo, kSqs, kHost };
SETGET_API std::string_view to_string(ErrorSource source) noexcept;

// One broken rule: a stable code ("key_too_long"), a JSON Pointer (RFC 6901) into the input, and a sentence that names the
// limit. Also what a dead letter keeps as its reasons.
struct Reason {
  std::string code{};
  std::string message{};
  std::string pointer{};
  friend bool operator==(const Reason&, const Reason&) = default;
};

class SETGET_API Error {
 public:
  Error(ErrorCode code, std::string message);

  // Each returns *this, so that an error reads as one expression where it is made.
  Error& at_field(std::string field) &;
  Error&& at_field(std::string field) &&;
  Error& at_position(std::size_t byte_offset) &;
  Error&& at_position(std::size_t byte_offset) &&;
  Error& from(ErrorSource source, int native_code, std::string native_text) &;
  Error&& from(ErrorSource source, int native_code, std::string native_text) &&;
  Error& because(std::vector<Reason> reasons) &;
  Error&& because(std::vector<Reason> reasons) &&;

  ErrorCode code() const noexcept;
  // True if the same call may succeed later without any change by the caller.
  bool retryable() const noexcept;
  const std::string& message() const noexcept;
  const std::string& field() const noexcept;             // empty: no single field
  std::optional<std::size_t> position() const noexcept;  // byte offset in the input
  ErrorSource source() const noexcept;
  int native_code() const noexcept;  // e.g. SQLite's extended result code; 0 = none
  const std::string& native_text() const noexcept;
  const std::vector<Reason>& reasons() const noexcept;  // every violation, where there are several
  // "invalid_argument: keys[3]: 613 bytes, limit 512 (sqlite 787: …)": one line for logs.
  std::string describe() const;

 private:
  struct Detail;
  Detail& edit();
  std::shared_ptr<Detail> detail_;
};

// Thrown only by Result::value() on an error.
class SETGET_API BadResult : public std::exception {
 public:
  explicit BadResult(const Error& error);
  const char* what() const noexcept override;

 private:
  std::shared_ptr<const std::string> text_;
};

// A value or an Error. Our own small type, so that a later standard one breaks no host.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor): reads as `return value`
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor): reads as `return error`

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  // Precondition: has_value() (unchecked for * and ->, checked by value()).
  T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { return std::get_if<0>(&state_); }

  T& value() & { return check(), **this; }
  const T& value() const& { return check(), **this; }
  // By value, so that `for (auto& x : call().value())` does not walk through a dead temporary.
  T value() && { return check(), std::move(**this); }
  T value_or(T other) && { return has_value() ? std::move(**this) : std::move(other); }

  // Precondition: !has_value().
  const Error& error() const& noexcept { return *std::get_if<1>(&state_); }
  Error&& error() && noexcept { return std::move(*std::get_if<1>(&state_)); }

 private:
  void check() const {
    if (!has_value()) throw BadResult(error());
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor): reads as `return error`
  bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (error_) throw BadResult(*error_);
  }
  const Error& error() const& noexcept { return *error_; }
  Error&& error() && noexcept { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace setget::inline v0
