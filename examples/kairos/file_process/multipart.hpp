// A streaming parser of multipart/form-data (RFC 7578, RFC 2046): bytes in as they come, parts out as they come. Holds at most one boundary
// and one block of part headers, however large the upload. Thread rule: one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <setget/error.hpp>

namespace kairos {

struct PartHeader {
  std::string name;          // of the form field
  std::string filename;      // empty: not a file
  std::string content_type;  // lower case, without parameters
};

struct PartHandler {
  std::function<setget::Result<void>(const PartHeader&)> begin;
  std::function<setget::Result<void>(std::string_view bytes)> data;
  std::function<setget::Result<void>()> end;
};

class MultipartParser {
 public:
  MultipartParser(std::string boundary, PartHandler handler);

  // Errors: the handler's; kInvalidArgument with the position for what is not multipart; kTooLarge for part headers over 16 KiB.
  setget::Result<void> feed(std::string_view bytes);
  // kInvalidArgument if the closing boundary has not come.
  setget::Result<void> finish() const;

 private:
  enum class State { kPreamble, kAfterBoundary, kHeaders, kBody, kDone };
  setget::Result<bool> step();
  setget::Result<bool> take_headers();
  setget::Result<bool> take_body();
  void drop(std::size_t bytes);
  setget::Error refuse(const std::string& why) const;

  std::string delimiter_;  // "\r\n--boundary"
  PartHandler handler_;
  State state_ = State::kPreamble;
  std::string buffer_;
  std::size_t position_ = 0;  // of buffer_'s first byte, with the two bytes put before the upload
};

// The boundary of a Content-Type "multipart/form-data; boundary=…". Error: kInvalidArgument.
setget::Result<std::string> boundary_of(std::string_view content_type);

}  // namespace kairos
