// Whether this is a build with a sanitizer, under which everything is several times slower: for sizes and for bounds of time.
#pragma once

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SETGET_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SETGET_SANITIZED 1
#endif
#endif

namespace setget_test {

#ifdef SETGET_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace setget_test
