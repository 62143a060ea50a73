#include <algorithm>

#include <setget/config.hpp>

namespace setget::inline v0 {

namespace {

constexpr std::string_view kHidden = "***";

// Whoever mistypes a URI must not find the password in the error: what could be one is hidden, whether or not the rest is in order.
std::string hide_user_part(std::string_view uri) {
  const auto scheme = uri.find("://");
  const auto at = uri.rfind('@');
  if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme + 3) return std::string(uri);
  const auto user = uri.substr(scheme + 3, at - scheme - 3);
  const auto colon = user.find(':');
  std::string out(uri.substr(0, scheme + 3));
  if (colon != std::string_view::npos) out.append(user.substr(0, colon + 1));
  return out.append(kHidden).append(uri.substr(at));
}

}  // namespace

std::string shown_uri(std::string_view uri) {
  if (uri.starts_with("sqlite:")) return std::string(uri);
  auto out = hide_user_part(uri);
  constexpr std::string_view kOption = "password=";
  for (auto at = out.find(kOption); at != std::string::npos; at = out.find(kOption, at)) {
    at += kOption.size();
    out.replace(at, std::min(out.find('&', at), out.size()) - at, kHidden);
  }
  return out;
}

}  // namespace setget::inline v0
