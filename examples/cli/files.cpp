#include "files.hpp"

#include <sys/stat.h>

#include <fstream>
#include <iostream>
#include <vector>

namespace cli {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {

// By read(), which tells a failure: an iterator over the stream's buffer throws whatever the library says.
Result<std::string> read_all(std::istream& in, std::uint64_t most_bytes) {
  std::string text;
  std::vector<char> buffer(1u << 16);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(in.gcount()));
    // Pipes have no size, and a device may never end.
    if (text.size() > most_bytes) return Error(ErrorCode::kTooLarge, "more than " + std::to_string(most_bytes) + " bytes, the limit");
  }
  if (in.bad()) return Error(ErrorCode::kUnavailable, "cannot be read");
  return text;
}

}  // namespace

Result<std::string> read_whole(const std::string& path, std::uint64_t most_bytes) {
  if (path == "-") return read_all(std::cin, most_bytes);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return Error(ErrorCode::kNotFound, "there is no such file");
  if (S_ISDIR(info.st_mode)) return Error(ErrorCode::kInvalidArgument, "is a folder");
  if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) > most_bytes)
    return Error(ErrorCode::kTooLarge, std::to_string(info.st_size) + " bytes, limit " + std::to_string(most_bytes));
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error(ErrorCode::kUnavailable, "cannot be opened");
  return read_all(file, most_bytes);
}

}  // namespace cli
