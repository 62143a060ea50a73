#include "http/response.hpp"

#include <fmt/format.h>

#include <boost/beast/http/status.hpp>

#include <array>
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

void append_response_head(std::string& head, const GatewayResponse& response, bool keep_alive) {
  const auto reason = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  head.reserve(384);
  head += "HTTP/1.1 ";
  const fmt::format_int status(response.status);
  head.append(status.data(), status.size());
  head += ' ';
  head.append(reason.data(), reason.size());
  head += "\r\nDate: ";
  head += date_now();
  for (const auto& [name, value] : response.headers) {
    head += "\r\n";
    head += name;
    head += ": ";
    head += value;
  }
  if (!is_bodiless(response.status)) {
    head += "\r\nContent-Length: ";
    const fmt::format_int length(response.body.size());
    head.append(length.data(), length.size());
  }
  head += keep_alive ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
}

}  // namespace setget::inline v0::detail
