#include "schema/suite.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

namespace schema_test {

namespace fs = std::filesystem;
using setget::json_schema::Draft;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

namespace {

// Keeps numbers as they are written: values are cut out of the text instead of being parsed and printed.
class Slices {
 public:
  explicit Slices(std::string_view text) : text_(text) {}

  // The elements of the array at `from`.
  std::vector<std::string_view> elements(std::string_view array) const {
    std::vector<std::string_view> out;
    std::size_t at = 1;
    while (true) {
      at = array.find_first_not_of(" \t\r\n,", at);
      if (at == std::string_view::npos || array[at] == ']') return out;
      const auto end = value_end(array, at);
      out.push_back(array.substr(at, end - at));
      at = end;
    }
  }
  // The value under a name; empty if there is none.
  std::string_view member(std::string_view object, std::string_view name) const {
    std::size_t at = 1;
    while (true) {
      at = object.find_first_not_of(" \t\r\n,", at);
      if (at == std::string_view::npos || object[at] == '}') return {};
      const auto name_end = value_end(object, at);
      const auto own = object.substr(at + 1, name_end - at - 2);
      at = object.find_first_not_of(" \t\r\n:", name_end);
      const auto end = value_end(object, at);
      if (own == name) return object.substr(at, end - at);
      at = end;
    }
  }
  std::string_view text() const { return text_; }

 private:
  static std::size_t value_end(std::string_view text, std::size_t at) {
    int depth = 0;
    for (; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '"') {
        for (++at; text[at] != '"'; ++at) {
          if (text[at] == '\\') ++at;
        }
        if (depth == 0) return at + 1;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return at;
        if (--depth == 0) return at + 1;
      } else if (depth == 0 && (c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t')) {
        return at;
      }
    }
    return at;
  }
  std::string_view text_;
};

}  // namespace

std::vector<Case> read_cases(const std::string& suite, Draft draft) {
  const auto root = fs::path(suite) / "tests" / std::string(to_string(draft));
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  std::vector<Case> out;
  for (const auto& file : files) {
    const auto text = read_file(file);
    const auto trimmed = std::string_view(text).substr(text.find('['));
    const Slices slices(trimmed);
    const auto plain = [](std::string_view quoted) { return nlohmann::json::parse(quoted).get<std::string>(); };
    for (const auto group : slices.elements(trimmed)) {
      for (const auto test : slices.elements(slices.member(group, "tests"))) {
        out.push_back({.file = fs::relative(file, fs::path(suite) / "tests").string(),
                       .group = plain(slices.member(group, "description")),
                       .description = plain(slices.member(test, "description")),
                       .schema = std::string(slices.member(group, "schema")),
                       .data = std::string(slices.member(test, "data")),
                       .expected = slices.member(test, "valid") == "true"});
      }
    }
  }
  return out;
}

setget::json_schema::Loader remotes(const std::string& suite) {
  return [suite](std::string_view uri) -> setget::Result<std::string> {
    constexpr std::string_view kBase = "http://localhost:1234/";
    const auto path = suite + "/remotes/" + std::string(uri.substr(std::min(uri.size(), kBase.size())));
    if (!uri.starts_with(kBase) || !fs::is_regular_file(path))
      return setget::Error(setget::ErrorCode::kNotFound, std::string(uri) + " is not there");
    return read_file(path);
  };
}

setget::json_schema::Options options_for(const std::string& suite, Draft draft, const std::string& file) {
  setget::json_schema::Options options{.default_draft = draft, .loader = remotes(suite)};
  options.assert_formats = file.find("optional/format") != std::string::npos && file.find("format-assertion") == std::string::npos;
  options.assert_content = file == "draft7/optional/content.json";
  return options;
}

std::string run_case(const setget::json_schema::Validator& validator, const Case& one) {
  const auto bytes = validator.is_valid(one.data);
  if (!bytes) return "bytes: " + bytes.error().describe();
  if (*bytes != one.expected) return *bytes ? "is called valid" : "is called invalid";
  setget::json_schema::Document document;
  if (auto parsed = document.parse(one.data); !parsed) return "document: " + parsed.error().describe();
  const auto again = validator.is_valid(document);
  if (!again || *again != one.expected) return "the document has another verdict than the bytes";
  const auto report = validator.validate(one.data);
  if (!report) return "report: " + report.error().describe();
  if (report->valid != one.expected || report->valid != report->violations.empty()) return "the report has another verdict";
  for (const auto& violation : report->violations) {
    if (violation.message.empty() || violation.absolute_keyword_location.empty()) return "a violation says too little";
  }
  // Of a small document it is counted first.
  const auto other = validator.validate(document);
  if (!other || other->violations.size() != report->violations.size() || other->detailed() != report->detailed())
    return "the document has another report than the bytes";
  for (const auto& output : {report->basic(), report->detailed()}) {
    const auto parsed = nlohmann::json::parse(output, nullptr, false);
    if (parsed.is_discarded() || parsed.at("valid") != one.expected) return "the output is not what it says: " + output;
  }
  return {};
}

}  // namespace schema_test
