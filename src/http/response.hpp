// The bytes of a response's head (RFC 9112).
#pragma once

#include <string>

#include <setget/gateway.hpp>

namespace setget::inline v0::detail {

// True where the response has no body by its status (RFC 9112 section 6.3).
bool is_bodiless(int status) noexcept;
// Appends status line and header section. Content-Length is that of the body also for HEAD.
void append_response_head(std::string& head, const GatewayResponse& response, bool keep_alive);
// Brings the date of such a head, of status 200, up to now.
void renew_date(std::string& head) noexcept;
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace setget::inline v0::detail
