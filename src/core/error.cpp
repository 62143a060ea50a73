#include <fmt/format.h>

#include <setget/error.hpp>

namespace setget::inline v0 {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kAlreadyExists:
      return "already_exists";
    case ErrorCode::kFailedPrecondition:
      return "failed_precondition";
    case ErrorCode::kConflict:
      return "conflict";
    case ErrorCode::kTooLarge:
      return "too_large";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kOutOfSpace:
      return "out_of_space";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kDeadlineExceeded:
      return "deadline_exceeded";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kLeaseLost:
      return "lease_lost";
    case ErrorCode::kCorrupted:
      return "corrupted";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string_view to_string(ErrorSource source) noexcept {
  switch (source) {
    case ErrorSource::kSdk:
      return "sdk";
    case ErrorSource::kSqlite:
      return "sqlite";
    case ErrorSource::kRedis:
      return "redis";
    case ErrorSource::kMongo:
      return "mongo";
    case ErrorSource::kSqs:
      return "sqs";
    case ErrorSource::kHost:
      return "host";
  }
  return "unknown";
}

struct Error::Detail {
  ErrorCode code = ErrorCode::kInternal;
  ErrorSource source = ErrorSource::kSdk;
  int native_code = 0;
  std::string message;
  std::string field;
  std::optional<std::size_t> position;
  std::string native_text;
  std::vector<Reason> reasons;
};

Error::Error(ErrorCode code, std::string message) : detail_(std::make_shared<Detail>()) {
  detail_->code = code;
  detail_->message = std::move(message);
}

// Copies of an error share their detail, so an edit must not show through another copy.
Error::Detail& Error::edit() {
  if (detail_.use_count() > 1) detail_ = std::make_shared<Detail>(*detail_);
  return *detail_;
}

Error& Error::at_field(std::string field) & {
  edit().field = std::move(field);
  return *this;
}
Error&& Error::at_field(std::string field) && { return std::move(at_field(std::move(field))); }

Error& Error::at_position(std::size_t byte_offset) & {
  edit().position = byte_offset;
  return *this;
}
Error&& Error::at_position(std::size_t byte_offset) && { return std::move(at_position(byte_offset)); }

Error& Error::from(ErrorSource source, int native_code, std::string native_text) & {
  auto& detail = edit();
  detail.source = source;
  detail.native_code = native_code;
  detail.native_text = std::move(native_text);
  return *this;
}
Error&& Error::from(ErrorSource source, int native_code, std::string native_text) && {
  return std::move(from(source, native_code, std::move(native_text)));
}

Error& Error::because(std::vector<Reason> reasons) & {
  edit().reasons = std::move(reasons);
  return *this;
}
Error&& Error::because(std::vector<Reason> reasons) && { return std::move(because(std::move(reasons))); }

ErrorCode Error::code() const noexcept { return detail_->code; }

bool Error::retryable() const noexcept {
  switch (detail_->code) {
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kOutOfSpace:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

const std::string& Error::message() const noexcept { return detail_->message; }
const std::string& Error::field() const noexcept { return detail_->field; }
std::optional<std::size_t> Error::position() const noexcept { return detail_->position; }
ErrorSource Error::source() const noexcept { return detail_->source; }
int Error::native_code() const noexcept { return detail_->native_code; }
const std::string& Error::native_text() const noexcept { return detail_->native_text; }
const std::vector<Reason>& Error::reasons() const noexcept { return detail_->reasons; }

std::string Error::describe() const {
  const auto& d = *detail_;
  std::string text(to_string(d.code));
  if (!d.field.empty()) text += ": " + d.field;
  text += ": " + d.message;
  if (d.position) text += fmt::format(" (at byte {})", *d.position);
  if (d.source != ErrorSource::kSdk || d.native_code != 0)
    text += fmt::format(" ({} {}: {})", to_string(d.source), d.native_code, d.native_text);
  for (const auto& reason : d.reasons) text += fmt::format("; {} {}: {}", reason.pointer, reason.code, reason.message);
  return text;
}

BadResult::BadResult(const Error& error) : text_(std::make_shared<const std::string>(error.describe())) {}
const char* BadResult::what() const noexcept { return text_->c_str(); }

}  // namespace setget::inline v0
