#include <algorithm>

#include <setget/config.hpp>

namespace setget::inline v0 {

namespace {

constexpr std::string_view kHidden = "***";

// In any case of letters: MongoDB's options have none.
std::size_t find_option(std::string_view text, std::string_view lower, std::size_t from = 0) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b; };
  const auto found = std::search(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(), lower.begin(), lower.end(), same);
  return found == text.end() ? std::string::npos : static_cast<std::size_t>(found - text.begin());
}

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
  std::string out(uri);
  // Also as the end of a longer name: sentinel_password, tlsCertificateKeyFilePassword. The last one can hold a session token.
  for (const std::string_view option : {"password=", "authmechanismproperties="}) {
    for (auto at = find_option(out, option); at != std::string::npos; at = find_option(out, option, at)) {
      at += option.size();
      out.replace(at, std::min(out.find('&', at), out.size()) - at, kHidden);
    }
  }
  // Behind the options: a password there may have an '@'.
  return hide_user_part(out);
}

}  // namespace setget::inline v0
