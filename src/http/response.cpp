#include "http/response.hpp"

#include <fmt/format.h>

#include <boost/beast/http/status.hpp>

#include <array>
#include <cstring>
#include <ctime>

namespace setget::inline v0::detail {
namespace {

// RFC 9110 section 5.6.7; made once a second and thread.
std::string_view date_now() {
  static constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  thread_local std::time_t at = -1;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now == at) return text;
  std::tm utc{};
  gmtime_r(&now, &utc);
  text = fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                     kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  at = now;
  return text;
}

}  // namespace

bool is_bodiless(int status) noexcept { return status == 204 || status == 304 || status < 200; }

namespace {

constexpr std::string_view kVersion = "HTTP/1.1 ";
constexpr std::string_view kDate = "\r\nDate: ";
constexpr std::string_view kNewLine = "\r\n";
constexpr std::string_view kColon = ": ";

// Texts one behind the other, in room that was counted before.
class Pieces {
 public:
  Pieces(std::string& out, std::size_t room) {
    const auto from = out.size();
    out.resize(from + room);
    at_ = out.data() + from;
  }
  Pieces& operator<<(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }

 private:
  char* at_;
};

}  // namespace

void append_response_head(std::string& head, const GatewayResponse& response, bool keep_alive) {
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const auto text_of = [](const fmt::format_int& number) { return std::string_view(number.data(), number.size()); };
  const auto known = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  const std::string_view reason(known.data(), known.size());
  const std::string_view date = date_now();
  const std::string_view end = keep_alive ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
  const fmt::format_int status(response.status);
  const fmt::format_int length(response.body.size());
  const bool has_length = !is_bodiless(response.status);
  std::size_t size = kVersion.size() + status.size() + 1 + reason.size() + kDate.size() + date.size() + end.size();
  for (const auto& [name, value] : response.headers) size += kNewLine.size() + name.size() + kColon.size() + value.size();
  if (has_length) size += kLength.size() + length.size();
  Pieces pieces(head, size);
  pieces << kVersion << text_of(status) << " " << reason << kDate << date;
  for (const auto& [name, value] : response.headers) pieces << kNewLine << name << kColon << value;
  if (has_length) pieces << kLength << text_of(length);
  pieces << end;
}

void renew_date(std::string& head) noexcept {
  constexpr std::string_view kStatus = "200 OK";
  const std::string_view date = date_now();
  std::memcpy(head.data() + kVersion.size() + kStatus.size() + kDate.size(), date.data(), date.size());
}

}  // namespace setget::inline v0::detail
