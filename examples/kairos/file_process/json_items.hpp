// A streaming reader of a JSON array of objects, or of objects one after the other (NDJSON): every object is an Item. Holds one object at a
// time. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "file_process/item.hpp"

namespace kairos {

class JsonItemReader {
 public:
  JsonItemReader(std::string file, ItemSink sink) : file_(std::move(file)), sink_(std::move(sink)) {}

  // Errors: the sink's; kInvalidArgument with the item for what is not a JSON object; kTooLarge for an object over 1 MiB.
  setget::Result<void> feed(std::string_view bytes);
  setget::Result<void> finish() const;

 private:
  setget::Result<void> take(char byte);
  setget::Result<void> take_between(char byte);
  setget::Result<void> emit();
  setget::Error refuse(const std::string& why) const;

  std::string file_;
  ItemSink sink_;
  std::string object_;
  std::uint64_t items_ = 0;
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool in_array_ = false;
  bool array_ended_ = false;
};

}  // namespace kairos
