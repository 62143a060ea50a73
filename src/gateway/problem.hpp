// Answers of the gateway: RFC 9457 problems and small JSON bodies.
#pragma once

#include <string>
#include <string_view>

#include <setget/gateway.hpp>

namespace setget::inline v0::detail {

std::string_view status_text(int status) noexcept;
// The problem's JSON alone: one entry of a batch.
void append_problem(std::string& out, int status, const Error& error);

GatewayResponse json_response(int status, std::string body);
// A refusal that is about HTTP itself, not about a value.
GatewayResponse refusal(int status, std::string detail);
GatewayResponse problem_of(const Error& error);
// 422 (or 413, 400 by the codes of the reasons) with every violation.
Error invalid(std::vector<Reason> reasons);

}  // namespace setget::inline v0::detail
