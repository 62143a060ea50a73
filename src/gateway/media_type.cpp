#include "gateway/media_type.hpp"

#include <algorithm>

namespace setget::inline v0::detail {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) noexcept {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view media_type(std::string_view content_type) noexcept { return trim(content_type.substr(0, content_type.find(';'))); }

bool is_json_type(std::string_view content_type) noexcept {
  constexpr std::string_view kSuffix = "+json";
  const std::string_view type = media_type(content_type);
  return equals_ignoring_case(type, "application/json") ||
         (type.size() > kSuffix.size() && equals_ignoring_case(type.substr(type.size() - kSuffix.size()), kSuffix));
}

bool is_utf8_charset(std::string_view content_type) noexcept {
  constexpr std::string_view kName = "charset=";
  std::size_t at = content_type.find(';');
  while (at < content_type.size()) {
    const std::size_t end = std::min(content_type.find(';', at + 1), content_type.size());
    std::string_view parameter = trim(content_type.substr(at + 1, end - at - 1));
    if (parameter.size() >= kName.size() && equals_ignoring_case(parameter.substr(0, kName.size()), kName)) {
      parameter.remove_prefix(kName.size());
      if (parameter.size() >= 2 && parameter.front() == '"' && parameter.back() == '"')
        parameter = parameter.substr(1, parameter.size() - 2);
      return equals_ignoring_case(parameter, "utf-8") || equals_ignoring_case(parameter, "us-ascii");
    }
    at = end;
  }
  return true;
}

bool is_header_value(std::string_view text) noexcept {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7F;
  });
}

}  // namespace setget::inline v0::detail
