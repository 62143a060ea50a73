#include "file_process/csv.hpp"

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {
constexpr std::size_t kMaxRow = 1u << 20;
}

Error CsvReader::refuse(const std::string& why) const {
  return Error(ErrorCode::kInvalidArgument, file_ + ": row " + std::to_string(rows_ + 1) + ": " + why).at_field(file_);
}

void CsvReader::end_field() {
  row_.push_back(std::move(field_));
  field_.clear();
  state_ = State::kStart;
}

Result<void> CsvReader::end_row() {
  const bool empty_line = row_.empty() && field_.empty() && state_ == State::kStart;
  row_bytes_ = 0;
  if (empty_line) return {};
  end_field();
  std::vector<std::string> row;
  row.swap(row_);
  if (names_.empty()) {
    names_ = std::move(row);
    if (names_.front().starts_with("\xef\xbb\xbf")) names_.front().erase(0, 3);  // spreadsheets write a byte order mark
    return {};
  }
  if (row.size() != names_.size()) {
    return refuse(std::to_string(row.size()) + " fields, the first row names " + std::to_string(names_.size()));
  }
  Item item{file_, ++rows_, {}};
  for (std::size_t i = 0; i < row.size(); ++i) item.fields[names_[i]] = std::move(row[i]);
  return sink_(std::move(item));
}

Result<void> CsvReader::take(char byte) {
  if (++row_bytes_ > kMaxRow) return Error(ErrorCode::kTooLarge, file_ + ": row " + std::to_string(rows_ + 1) + ": over 1048576 bytes");
  if (state_ == State::kQuoted) {
    if (byte == '"') {
      state_ = State::kQuoteInQuoted;
    } else {
      field_ += byte;
    }
    return {};
  }
  if (byte == ',') return end_field(), Result<void>();
  if (byte == '\n') return end_row();
  if (byte == '\r') return {};
  if (byte == '"') {
    if (state_ == State::kPlain) return refuse("a quote within an unquoted field");
    if (state_ == State::kQuoteInQuoted) field_ += '"';
    state_ = State::kQuoted;
    return {};
  }
  if (state_ == State::kQuoteInQuoted) return refuse("text after a closing quote");
  state_ = State::kPlain;
  field_ += byte;
  return {};
}

Result<void> CsvReader::feed(std::string_view bytes) {
  for (const char byte : bytes) {
    auto taken = take(byte);
    if (!taken) return taken;
  }
  return {};
}

Result<void> CsvReader::finish() {
  if (state_ == State::kQuoted) return refuse("the file ends within quotes");
  return end_row();
}

}  // namespace kairos
