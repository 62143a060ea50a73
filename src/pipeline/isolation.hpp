// What a namespace and an account have to do with each other where the policy has isolation = "account": there the account is the
// namespace. Thread rule: any thread.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include <setget/error.hpp>

namespace setget::inline v0::detail {

// A namespace that the listener or credential brings must be the same account, so that nobody reaches into another one by writing its name
// into a body or a query. Nothing: it is, or none is brought.
inline std::optional<Reason> account_refusal(std::string_view ns, std::string_view account) {
  if (ns.empty() || ns == account) return std::nullopt;
  return Reason{
      .code = "account_not_allowed", .message = fmt::format("this door is bound to the namespace \"{}\"", ns), .pointer = "/account"};
}

}  // namespace setget::inline v0::detail
