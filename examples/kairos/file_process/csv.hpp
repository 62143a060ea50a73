// A streaming CSV parser (RFC 4180; bare line feeds too): the first row names the fields, every further row is an Item. Thread rule: one
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "file_process/item.hpp"

namespace kairos {

class CsvReader {
 public:
  CsvReader(std::string file, ItemSink sink) : file_(std::move(file)), sink_(std::move(sink)) {}

  // Errors: the sink's; kInvalidArgument with the row for a row of another width or a stray quote; kTooLarge for a row over 1 MiB.
  setget::Result<void> feed(std::string_view bytes);
  setget::Result<void> finish();

 private:
  enum class State { kStart, kPlain, kQuoted, kQuoteInQuoted };
  setget::Result<void> take(char byte);
  void end_field();
  setget::Result<void> end_row();
  setget::Error refuse(const std::string& why) const;

  std::string file_;
  ItemSink sink_;
  State state_ = State::kStart;
  std::string field_;
  std::vector<std::string> row_;
  std::vector<std::string> names_;
  std::size_t row_bytes_ = 0;
  std::uint64_t rows_ = 0;  // rows after the names
};

}  // namespace kairos
