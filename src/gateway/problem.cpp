#include "gateway/problem.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/json_writer.hpp"

namespace setget::inline v0 {
namespace detail {
namespace {

bool has_reason(const Error& error, std::string_view code) {
  return std::ranges::any_of(error.reasons(), [code](const Reason& reason) { return reason.code == code; });
}

int status_of_invalid(const Error& error) {
  if (has_reason(error, "json_syntax") || has_reason(error, "json_invalid_utf8")) return 400;
  if (has_reason(error, "payload_too_large") || has_reason(error, "batch_too_large")) return 413;
  if (error.reasons().empty() && error.position()) return 400;
  return 422;
}

void append_violations(std::string& out, const Error& error) {
  JsonArray array(out);
  for (const auto& reason : error.reasons()) {
    JsonObject object(array.raw());
    object.text("pointer", reason.pointer).text("code", reason.code).text("message", reason.message);
  }
  if (!error.reasons().empty() || error.field().empty()) return;
  JsonObject object(array.raw());
  object.text("pointer", error.field().front() == '/' ? error.field() : "/" + error.field());
  object.text("code", to_string(error.code())).text("message", error.message());
}

// What a store or queue says of itself, such as a password that it does not take any more, is not about the request: senders take 4xx for
// final.
bool is_about_a_server(const Error& error) noexcept {
  if (error.source() == ErrorSource::kSdk || error.source() == ErrorSource::kHost) return false;
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kFailedPrecondition:
    case ErrorCode::kUnsupported:
      return true;
    default:
      return false;
  }
}

// Seconds after which the same request may succeed; 0 where waiting does not help.
int retry_after(int status) noexcept { return status == 429 || status == 503 || status == 409 ? 1 : 0; }

}  // namespace

std::string_view status_text(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

void append_problem(std::string& out, int status, const Error& error) {
  JsonObject object(out);
  object.text("type", fmt::format("urn:setget:error:{}", to_string(error.code())));
  object.text("title", status_text(status)).number("status", static_cast<std::uint64_t>(status));
  object.text("detail", error.message());
  object.text("code", to_string(error.code())).boolean("retryable", error.retryable());
  if (error.position()) object.number("position", *error.position());
  append_violations(object.raw("violations"), error);
}

GatewayResponse json_response(int status, std::string body) {
  return {status, {{"Content-Type", "application/json"}}, Payload::adopt(std::move(body))};
}

GatewayResponse refusal(int status, std::string detail) {
  ErrorCode code = ErrorCode::kInvalidArgument;
  if (status == 404) code = ErrorCode::kNotFound;
  if (status == 409) code = ErrorCode::kConflict;
  if (status == 412) code = ErrorCode::kFailedPrecondition;
  if (status == 413 || status == 431) code = ErrorCode::kTooLarge;
  if (status == 403 || status == 405 || status == 415 || status == 501 || status == 505) code = ErrorCode::kUnsupported;
  if (status == 408) code = ErrorCode::kDeadlineExceeded;
  if (status == 503) code = ErrorCode::kUnavailable;
  return problem(status, Error(code, std::move(detail)));
}

GatewayResponse problem_of(const Error& error) { return problem(http_status(error), error); }

Error invalid(std::vector<Reason> reasons) {
  std::string message = reasons.empty()                   ? std::string("the request breaks a rule")
                        : reasons.front().pointer.empty() ? reasons.front().message
                                                          : fmt::format("{}: {}", reasons.front().pointer, reasons.front().message);
  if (reasons.size() > 1) message += fmt::format(" (and {} more)", reasons.size() - 1);
  return Error(ErrorCode::kInvalidArgument, std::move(message)).because(std::move(reasons));
}

}  // namespace detail

int http_status(const Error& error) noexcept {
  if (detail::is_about_a_server(error)) return 503;
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
      return detail::status_of_invalid(error);
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kAlreadyExists:
    case ErrorCode::kConflict:
    case ErrorCode::kLeaseLost:
      return 409;
    case ErrorCode::kFailedPrecondition:
      return 412;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kResourceExhausted:
      return 429;
    case ErrorCode::kOutOfSpace:
      return 507;
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kCancelled:
      return 503;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kCorrupted:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

GatewayResponse problem(int status, const Error& error) {
  std::string body;
  detail::append_problem(body, status, error);
  GatewayResponse response{status, {{"Content-Type", "application/problem+json"}}, Payload::adopt(std::move(body))};
  if (const int seconds = detail::retry_after(status); seconds > 0) response.headers.emplace_back("Retry-After", std::to_string(seconds));
  return response;
}

}  // namespace setget::inline v0
