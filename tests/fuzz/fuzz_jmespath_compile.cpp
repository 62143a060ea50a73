// Any bytes as a JMESPath expression. Held: no crash; an error has a kind and a place in the text; what compiles, compiles again and
// evaluates.
#include <cstdint>
#include <cstdlib>
#include <setget/jmespath.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace setget;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto document = jmespath::Document::parse(R"({"a":[1,"x",{"b":null}],"b":{"a":true},"foo":{"bar":[[1],[2,3]]}})").value();
  for (const bool let : {false, true}) {
    const auto compiled = jmespath::Expression::compile(text, {.let_expressions = let, .max_steps = 100'000});
    if (!compiled) {
      const Error& error = compiled.error();
      if (error.code() == ErrorCode::kInvalidArgument && (error.reasons().size() != 1 || !error.position() || *error.position() > size))
        std::abort();
      continue;
    }
    jmespath::Workspace workspace;
    const auto value = compiled->evaluate(document, workspace);
    if (value) static_cast<void>(value->json(1u << 16));
    if (!jmespath::Expression::compile(compiled->text(), {.let_expressions = let})) std::abort();
  }
  return 0;
}
