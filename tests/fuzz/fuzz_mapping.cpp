// Hostile expressions against hostile requests: what a route does with both. Lines of the input: flags and Content-Type; the expressions of
// id, of a key, of the ttl and of the payload; a header and a query value; the rest is the body. Held: no crash and no hang; a refusal says
// which expression, or where; what is mapped has keys, and the same request gives the same again.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <setget/mapping.hpp>

namespace {

using namespace setget;

void require(bool held, const char* what) {
  if (held) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool same(const Mapped& a, const Mapped& b) {
  return a.request.id == b.request.id && a.request.keys == b.request.keys && a.request.account == b.request.account &&
         a.request.ttl == b.request.ttl && a.request.attributes == b.request.attributes &&
         a.request.payload.view() == b.request.payload.view() && a.key_expressions == b.key_expressions;
}

void check_refusal(const Error& error) {
  require(!error.message().empty(), "a refusal says why");
  for (const auto& reason : error.reasons())
    require(reason.pointer.starts_with("/mapping/") && !reason.message.empty(), "a reason names its expression");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto kind = take_line(text);
  MappingOptions options{.default_account = "acme", .default_flow = "orders"};
  options.id = take_line(text);
  options.keys.emplace_back(take_line(text));
  options.ttl = take_line(text);
  options.payload = take_line(text);
  options.expressions.max_steps = 100'000;
  options.expressions.max_result_bytes = 1u << 22;
  const auto attribute = take_line(text);
  if (!attribute.empty()) options.attributes.emplace("seen", attribute);
  const auto header = take_line(text);
  const auto query = take_line(text);
  const auto mapping = Mapping::compile(options);
  if (!mapping) {
    require(!mapping.error().message().empty() && !mapping.error().field().empty(), "an option that is refused is named");
    return 0;
  }
  const std::vector<std::pair<std::string, std::string>> headers = {{"Content-Type", std::string(kind)}, {"X-A", std::string(header)}};
  const std::vector<std::pair<std::string, std::string>> queries = {{"q", std::string(query)}};
  const MappingInput input{.method = "POST", .path = "/v1/hooks/x", .query = queries, .headers = headers, .body = Payload::copy(text)};
  const auto first = mapping->map(input);
  const auto second = mapping->map(input);
  require(first.has_value() == second.has_value(), "the same request has the same answer");
  if (!first) {
    check_refusal(first.error());
    return 0;
  }
  require(same(*first, *second), "the same request has the same record");
  require(!first->request.keys.empty() && first->key_expressions.size() == first->request.keys.size(),
          "a record has keys, each from an expression");
  std::vector<Reason> reasons{{.code = "key_too_long", .message = "m", .pointer = "/keys/0"}};
  mapping->explain(reasons, *first);
  require(reasons.size() == 1 && !reasons[0].message.empty(), "a reason is explained, not lost");
  return 0;
}
