// What a Document is made of. Private to the validator.
#pragma once

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

}  // namespace setget::inline v0::detail::schema

struct setget::json_schema::Document::Impl {
  setget::detail::schema::FastParser fast{};
  setget::detail::schema::TapeWriter exact{};
  bool is_fast = false;

  setget::Result<void> parse(std::string_view json, std::size_t max_depth);
  setget::detail::schema::Tape tape() const noexcept { return is_fast ? fast.tape() : exact.tape(); }
  // Empty where the tape is exact.
  std::string_view rounded_text() const noexcept { return is_fast ? fast.text() : std::string_view(); }
};
