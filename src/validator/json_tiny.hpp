// TinyReader: the text of a tiny document to a tape, in one pass over its bytes and without memory from outside. simdjson looks at 64 bytes
// and a state machine at the least, which for a document of ten bytes is most of what a verdict takes. It reads what such documents are
// made of and nothing else (no escapes, no letters beyond ASCII, no numbers that a word does not hold exactly); what it does not read, and
// what is no JSON, is for the other readers, who also know the errors. Private to the validator. Thread rule: as any value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "validator/tape.hpp"

namespace setget::inline v0::detail::schema {

class TinyReader {
 public:
  static constexpr std::size_t kMostText = 64;

  // Not initialised: all that is read of it has been written, or is masked.
  TinyReader() noexcept {}  // NOLINT(modernize-use-equals-default,cppcoreguidelines-pro-type-member-init): zeros would be most of its time
  // False: for another reader.
  bool parse(std::string_view json, std::size_t max_depth) noexcept;
  // Every number is exact.
  Tape tape() const noexcept { return {words_, strings_}; }
  std::size_t words() const noexcept { return words_end_; }
  std::size_t string_bytes() const noexcept { return string_end_; }

 private:
  static constexpr std::size_t kDepth = 16;
  static bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  static void skip_space(const char*& at, const char* end) noexcept {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) ++at;
  }
  bool text(const char*& at, const char* end) noexcept;
  bool number(const char*& at, const char* end) noexcept;

  std::size_t words_end_ = 0;
  std::size_t string_end_ = 0;
  // "1" takes two words, "" five bytes; behind the strings is what may be read beyond them.
  std::uint64_t words_[2 * kMostText + 4];
  std::uint8_t strings_[3 * kMostText + 32];
};

}  // namespace setget::inline v0::detail::schema
