// TapeWriter: makes tapes value by value; the caller keeps to the grammar. Private to the validator.
#pragma once

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <vector>

#include "validator/tape.hpp"

namespace setget::inline v0::detail::schema {

class TapeWriter {
 public:
  TapeWriter() { clear(); }
  void clear() {
    words_.clear();
    strings_.clear();
    open_.clear();
    words_.push_back(make_word('r', 0));
  }
  void literal(char tag) { words_.push_back(make_word(tag, 0)); }
  void integer(std::int64_t value) { two('l', static_cast<std::uint64_t>(value)); }
  void unsigned_integer(std::uint64_t value) { two('u', value); }
  void number(double value) { two('d', std::bit_cast<std::uint64_t>(value)); }
  void text(char tag, std::string_view value) {
    words_.push_back(make_word(tag, strings_.size()));
    const auto size = static_cast<std::uint32_t>(value.size());
    const auto old = strings_.size();
    strings_.resize(old + 5 + value.size());
    std::memcpy(strings_.data() + old, &size, 4);
    if (!value.empty()) std::memcpy(strings_.data() + old + 4, value.data(), value.size());
    strings_.back() = 0;
  }
  void begin(char tag) {
    open_.push_back({words_.size(), 0});
    words_.push_back(make_word(tag, 0));
  }
  // One more name or element of what is open.
  void count() {
    if (!open_.empty()) ++open_.back().count;
  }
  void end(char tag) {
    const auto [at, count] = open_.back();
    open_.pop_back();
    words_.push_back(make_word(tag, at));
    words_[at] |= words_.size() | (static_cast<std::uint64_t>(std::min<std::size_t>(count, 0xFFFFFF)) << 32);
  }
  std::size_t depth() const noexcept { return open_.size(); }
  void finish() {
    words_[0] = make_word('r', words_.size());
    words_.push_back(make_word('r', 0));
    words_.resize(words_.size() + 4);
    strings_.resize(strings_.size() + 32);
  }
  Tape tape() const noexcept { return {words_.data(), strings_.data()}; }
  std::size_t string_bytes() const noexcept { return strings_.size(); }
  std::size_t bytes() const noexcept { return words_.size() * 8 + strings_.size(); }
  void shrink() {
    words_ = {};
    strings_ = {};
    clear();
    finish();
  }

 private:
  struct Open {
    std::size_t at;
    std::size_t count;
  };
  void two(char tag, std::uint64_t value) {
    words_.push_back(make_word(tag, 0));
    words_.push_back(value);
  }
  std::vector<std::uint64_t> words_;
  std::vector<std::uint8_t> strings_;
  std::vector<Open> open_;
};

}  // namespace setget::inline v0::detail::schema
