// Cuts a stream of envelopes into single ones without holding the stream: NDJSON (one a line), or one JSON array. Only finds the borders;
// what is between them is judged by parse_envelope. Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <setget/error.hpp>

namespace cli {

class EnvelopeSplitter {
 public:
  // `line` is where the envelope begins, counted from 1.
  using Sink = std::function<setget::Result<void>(std::string&& envelope, std::uint64_t line)>;
  // An envelope longer than `max_bytes` is an error: kTooLarge.
  EnvelopeSplitter(std::size_t max_bytes, Sink sink) : max_bytes_(max_bytes), sink_(std::move(sink)) {}

  // Errors: the sink's; kTooLarge; kInvalidArgument for text that is neither, with the line.
  setget::Result<void> feed(std::string_view bytes);
  // The end of the stream: gives out the last line, or says that an array was cut off.
  setget::Result<void> finish();

 private:
  enum class Form { kUnknown, kLines, kArray };
  enum class In { kBetween, kValue, kEnd };  // of an array
  setget::Result<void> take_line_byte(char byte);
  setget::Result<void> take_array_byte(char byte);
  setget::Result<void> append(char byte);
  setget::Result<void> give();
  setget::Error refuse(const std::string& why) const;

  std::size_t max_bytes_;
  Sink sink_;
  Form form_ = Form::kUnknown;
  In in_ = In::kBetween;
  bool comma_wanted_ = false;
  bool after_comma_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
  std::size_t depth_ = 0;
  std::uint64_t line_ = 1;
  std::uint64_t began_ = 1;
  std::string value_;
};

}  // namespace cli
