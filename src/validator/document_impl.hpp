// What a Document is made of. Private to the validator.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include <setget/json_document.hpp>

#include "validator/tape_writer.hpp"

namespace setget::inline v0::detail::schema {

// simdjson's parser and its padded copy of the text.
class FastParser {
 public:
  FastParser();
  ~FastParser();
  FastParser(const FastParser&) = delete;
  FastParser& operator=(const FastParser&) = delete;
  // False: not JSON, or something simdjson does not do (integers over 64 bits, numbers beyond a double); the exact reader decides.
  bool parse(std::string_view json, std::size_t max_depth);
  Tape tape() const noexcept;
  std::string_view text() const noexcept { return text_; }
  // Gives back what a giant document needed.
  void shrink();
  static constexpr std::size_t kKeptBytes = 4U << 20;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::string_view text_;
};

// The text behind a tape, and whether its numbers stand there as they were written: looked at once, when it first matters.
class Exactness {
 public:
  // Empty text: the tape is exact.
  void reset(std::string_view text = {}) noexcept {
    text_ = text;
    known_.store(kUnknown, std::memory_order_relaxed);
  }
  bool is_exact() const noexcept;
  std::string_view text() const noexcept { return text_; }

 private:
  enum : char { kUnknown, kExact, kRounded };
  std::string_view text_{};
  mutable std::atomic<char> known_{kUnknown};  // any thread comes to the same
};

// A document in the parser's own memory.
struct Parsed {
  FastParser fast{};
  TapeWriter exact{};
  bool is_fast = false;
  Exactness exactness{};

  setget::Result<void> parse(std::string_view json, std::size_t max_depth);
  Tape tape() const noexcept { return is_fast ? fast.tape() : exact.tape(); }
};

// A tiny document, laid out as a Document holds it: the strings first, the tape at the end. Numbers are exact.
struct TinyWords {
  static constexpr std::size_t kCount = 12;
  static constexpr std::size_t kPastTheEnd = 4;  // readable beyond them

  const std::uint64_t* words = nullptr;
  std::size_t tape_at = 0;

  Tape tape() const noexcept { return {words + tape_at, reinterpret_cast<const std::uint8_t*>(words)}; }
};

// Whether a Document holds a tiny one. The room for that is what a Document begins with.
inline bool is_tiny(const json_schema::Document& document) noexcept {
  return static_cast<const void*>(document.view().strings) == static_cast<const void*>(&document);
}
inline TinyWords tiny_words(const json_schema::Document& document) noexcept {
  const auto* const words = reinterpret_cast<const std::uint64_t*>(&document);
  return {words, static_cast<std::size_t>(document.view().tape - words)};
}

}  // namespace setget::inline v0::detail::schema

// A small document is one block: tape, strings, text. A large one stays where it was parsed.
struct setget::json_schema::Document::Impl {
  std::unique_ptr<std::uint64_t[]> block{};
  std::size_t capacity = 0;  // in words
  std::unique_ptr<setget::detail::schema::Parsed> large{};
  setget::detail::schema::Exactness exactness{};

  setget::Result<DocumentView> parse(std::string_view json, std::size_t max_depth);

 private:
  DocumentView pack(const setget::detail::schema::Parsed& from, std::size_t text_size);
};
