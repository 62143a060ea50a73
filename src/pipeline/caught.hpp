// What is thrown within an archiver's call (memory that is not to be had) ends it as any error does. Thread rule: any thread.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <string_view>

#include <setget/error.hpp>

namespace setget::inline v0::detail {

template <class Work>
auto caught(std::string_view what, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kResourceExhausted, fmt::format("an exception ended the {}: {}", what, thrown.what()));
  }
}

}  // namespace setget::inline v0::detail
