// file-process: takes an upload as it streams in and emits its items. Thread rule: one thread per upload.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "file_process/item.hpp"

namespace kairos {

class FileProcess {
 public:
  // `content_type` is the upload's: multipart/form-data with a boundary. Parts that are files must be text/csv, application/json or
  // application/x-ndjson (or be named so); other form fields are passed over.
  static setget::Result<std::unique_ptr<FileProcess>> create(std::string_view content_type, ItemSink sink);
  ~FileProcess();

  // Emits what has become complete. After an error the upload is over; items emitted before stay emitted.
  setget::Result<void> feed(std::string_view bytes);
  setget::Result<void> finish();

 private:
  struct State;
  explicit FileProcess(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kairos
