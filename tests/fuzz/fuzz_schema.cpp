// Hostile schemas and documents: the input is a schema, a zero byte or a new line, and a document. Held: a program or an error that says
// something, never a crash or a hang; the verdict of bytes, of a document and of the report are one; outputs are JSON.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <setget/json_schema.hpp>

namespace {

using namespace setget::json_schema;

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto flags = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto cut = text.find_first_of(std::string_view("\0\n", 2));
  const auto schema = text.substr(0, cut);
  const auto document = cut == std::string_view::npos ? schema : text.substr(cut + 1);
  constexpr Draft kDrafts[] = {Draft::kDraft4, Draft::kDraft6, Draft::kDraft7, Draft::kDraft201909, Draft::kDraft202012};
  Options options{.default_draft = kDrafts[flags % 5], .assert_formats = (flags & 64) != 0, .check_schema = (flags & 128) == 0};
  options.limits.max_steps = 200'000;
  options.limits.max_pattern_steps = 10'000;
  options.limits.max_pattern_memory = 1U << 20;
  const auto validator = Validator::compile(schema, options);
  if (!validator) {
    require(!validator.error().message().empty(), "a refused schema says why");
    return 0;
  }
  const auto verdict = validator->is_valid(document);
  const auto report = validator->validate(document);
  Document parsed;
  if (parsed.parse(document)) {
    const auto again = validator->is_valid(parsed);
    require(again.has_value() == verdict.has_value() && (!again || *again == *verdict), "bytes and documents have one verdict");
  } else {
    require(!verdict, "what is no JSON has no verdict");
  }
  // A report does more than a verdict, so a limit may end only the one.
  if (verdict && report) {
    require(report->valid == *verdict, "the report has the verdict");
    Document output;
    require(output.parse(report->basic()).has_value() && output.parse(report->detailed()).has_value(), "outputs are JSON");
  }
  return 0;
}
