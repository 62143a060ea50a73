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

}  // namespace setget::inline v0::detail::schema

// A small document is one block: tape, strings, text. A large one stays where it was parsed.
struct setget::json_schema::Document::Impl {
  std::unique_ptr<std::uint64_t[]> block{};
  std::size_t capacity = 0;  // in words
  std::unique_ptr<setget::detail::schema::Parsed> large{};
  std::size_t used = 0;  // words of the block, where numbers are as exact as they get; else 0
  setget::detail::schema::Exactness exactness{};

  setget::Result<DocumentView> parse(std::string_view json, std::size_t max_depth);

 private:
  DocumentView pack(const setget::detail::schema::Parsed& from, std::size_t text_size);
};

namespace setget::inline v0::detail::schema {

// A document that is small enough to be copied whole: one run of words with its tape and strings, and what may be read beyond them. Its
// numbers are exact.
struct SmallDocument {
  static constexpr std::size_t kMostWords = 96;
  static constexpr std::size_t kTinyWords = 16;  // of one that stands in its Document: twelve, and what may be read beyond them

  const std::uint64_t* words = nullptr;  // null: it is not small
  std::uint32_t count = 0;
  std::uint16_t tape_at = 0;  // place of its first word
  std::uint16_t strings_at = 0;

  Tape tape() const noexcept { return {words + tape_at, reinterpret_cast<const std::uint8_t*>(words + strings_at)}; }
};

inline SmallDocument small_of(const json_schema::Document& document) noexcept {
  const auto& view = document.view();
  const auto* const within = reinterpret_cast<const std::uint64_t*>(&document);
  const auto* const strings = reinterpret_cast<const std::uint64_t*>(view.strings);
  // What a Document holds stands at its beginning.
  if (strings == within) return {within, SmallDocument::kTinyWords, static_cast<std::uint16_t>(view.tape - within), 0};
  const auto* const impl = document.impl();
  if (impl == nullptr || impl->used == 0 || impl->used > SmallDocument::kMostWords) return {};
  return {view.tape, static_cast<std::uint32_t>(impl->used), 0, static_cast<std::uint16_t>(strings - view.tape)};
}

}  // namespace setget::inline v0::detail::schema
