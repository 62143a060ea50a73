// An expression in the first line, a document behind it. Held: no crash and no hang; what comes out is JSON that reads back as the same
// value, and the same evaluation gives the same again.
#include <cstdint>
#include <cstdlib>
#include <setget/jmespath.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace setget::jmespath;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto line = std::min(input.find('\n'), input.size());
  const auto text = input.substr(std::min(line + 1, input.size()));
  const auto document = Document::parse_borrowed(text);
  if (!document) return 0;
  constexpr std::size_t kMost = 1u << 18;
  const auto whole = document->root().json(kMost);
  if (whole && !(Document::parse_borrowed(*whole).value().root() == document->root())) std::abort();
  const auto expression =
      Expression::compile(input.substr(0, line), {.let_expressions = true, .max_steps = 100'000, .max_result_bytes = 1u << 22});
  if (!expression) return 0;
  Workspace workspace;
  const auto value = expression->evaluate(*document, workspace);
  if (!value) return 0;
  const auto json = value->json(kMost);
  if (!json) return 0;
  // Deeper than a document may be where an expression nests a deep document.
  const auto back = Document::parse_borrowed(*json);
  if (back ? !(back->root() == *value) : back.error().code() != setget::ErrorCode::kTooLarge) std::abort();
  Workspace other;
  const auto again = expression->evaluate(*document, other);
  if (!again || again->json(kMost).value() != *json) std::abort();
  return 0;
}
