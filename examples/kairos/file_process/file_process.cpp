#include "file_process/file_process.hpp"

#include <optional>
#include <variant>

#include "file_process/csv.hpp"
#include "file_process/json_items.hpp"
#include "file_process/multipart.hpp"

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

struct FileProcess::State {
  State(std::string boundary, ItemSink to)
      : sink(std::move(to)),
        parser(std::move(boundary), {.begin = [this](const PartHeader& part) { return begin(part); },
                                     .data = [this](std::string_view bytes) { return data(bytes); },
                                     .end = [this] { return end(); }}) {}

  Result<void> begin(const PartHeader& part) {
    if (part.filename.empty()) return {};
    const auto is = [&](std::string_view type, std::string_view ending) {
      return part.content_type == type || part.filename.ends_with(ending);
    };
    if (is("text/csv", ".csv")) {
      reader.emplace<CsvReader>(part.filename, sink);
    } else if (is("application/json", ".json") || is("application/x-ndjson", ".ndjson")) {
      reader.emplace<JsonItemReader>(part.filename, sink);
    } else {
      return Error(ErrorCode::kUnsupported, part.filename + ": " + part.content_type + " is neither CSV nor JSON").at_field(part.name);
    }
    return {};
  }
  Result<void> data(std::string_view bytes) {
    if (auto* csv = std::get_if<CsvReader>(&reader)) return csv->feed(bytes);
    if (auto* json = std::get_if<JsonItemReader>(&reader)) return json->feed(bytes);
    return {};
  }
  Result<void> end() {
    Result<void> finished;
    if (auto* csv = std::get_if<CsvReader>(&reader)) finished = csv->finish();
    if (auto* json = std::get_if<JsonItemReader>(&reader)) finished = json->finish();
    reader.emplace<std::monostate>();
    return finished;
  }

  ItemSink sink;
  std::variant<std::monostate, CsvReader, JsonItemReader> reader;
  MultipartParser parser;
};

FileProcess::FileProcess(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileProcess::~FileProcess() = default;

Result<std::unique_ptr<FileProcess>> FileProcess::create(std::string_view content_type, ItemSink sink) {
  auto boundary = boundary_of(content_type);
  if (!boundary) return std::move(boundary).error();
  return std::unique_ptr<FileProcess>(new FileProcess(std::make_unique<State>(std::move(*boundary), std::move(sink))));
}

Result<void> FileProcess::feed(std::string_view bytes) { return state_->parser.feed(bytes); }
Result<void> FileProcess::finish() { return state_->parser.finish(); }

}  // namespace kairos
