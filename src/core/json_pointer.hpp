// JSON Pointers (RFC 6901) into what a client sent. Pure.
#pragma once

#include <string>
#include <string_view>

namespace setget::inline v0::detail {

inline std::string child_pointer(std::string_view parent, std::string_view name) {
  std::string pointer(parent);
  pointer += '/';
  for (const char c : name) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

}  // namespace setget::inline v0::detail
