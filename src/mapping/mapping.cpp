#include <setget/mapping.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "mapping/json_string.hpp"
#include "mapping/request_document.hpp"

namespace setget::inline v0 {
namespace {

using jmespath::Expression;
using jmespath::Value;

constexpr std::size_t kShownBytes = 120;  // of an expression or a value in a message

std::string shortened(std::string_view text) {
  if (text.size() <= kShownBytes) return std::string(text);
  std::size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80) --end;
  return fmt::format("{}… ({} bytes)", text.substr(0, end), text.size());
}

std::string shown(const Value& value) {
  constexpr std::size_t kEnough = 4096;
  const auto json = value.json(kEnough);
  if (json) return shortened(*json);
  return fmt::format("{} of more than {} bytes", to_string(value.type()) == "object" ? "an object" : "a value", kEnough);
}

// A string, or a number or boolean as it is written; nothing for all else.
std::optional<std::string> text_of(const Value& value) {
  if (const auto text = value.string()) return std::string(*text);
  if (value.type() != jmespath::Type::kNumber && value.type() != jmespath::Type::kBoolean) return std::nullopt;
  auto json = value.json();
  return json ? std::optional(*std::move(json)) : std::nullopt;
}

}  // namespace

struct Mapping::State {
  MappingOptions options;
  std::optional<Expression> id, account, flow, owner, ttl, payload;
  std::vector<Expression> keys;
  std::vector<std::pair<std::string, Expression>> attributes;
};

namespace {

// One request on its way through the expressions; collects what is wrong.
class Run {
 public:
  Run(detail::RequestDocument& document, std::vector<Reason>& reasons) : document_(&document), reasons_(&reasons) {}

  // Null where the expression is not there, or failed.
  Value ask(const std::optional<Expression>& expression, std::string_view pointer) {
    return expression ? ask(*expression, pointer) : Value();
  }
  Value ask(const Expression& expression, std::string_view pointer) {
    auto value = expression.evaluate(document_->root(), document_->workspace());
    if (value) return *value;
    failed_ = true;
    std::string where = value.error().position() ? fmt::format(" at byte {}", *value.error().position()) : std::string();
    add("mapping_failed", pointer,
        fmt::format("the expression {} failed{}: {}", shortened(expression.text()), where, value.error().message()));
    return {};
  }
  std::optional<std::string> text(const std::optional<Expression>& expression, std::string_view pointer, std::string_view wanted) {
    const Value value = ask(expression, pointer);
    if (value.is_null()) return std::nullopt;
    auto text = text_of(value);
    if (!text || text->empty()) return refuse(*expression, pointer, value, wanted), std::nullopt;
    return text;
  }
  void refuse(const Expression& expression, std::string_view pointer, const Value& value, std::string_view wanted) {
    add("mapping_value", pointer, fmt::format("the expression {} gave {}; wanted {}", shortened(expression.text()), shown(value), wanted));
  }
  void add(std::string_view code, std::string_view pointer, std::string message) {
    constexpr std::size_t kMostReasons = 64;
    if (reasons_->size() < kMostReasons) reasons_->push_back({std::string(code), std::move(message), std::string(pointer)});
  }
  bool failed() const noexcept { return failed_; }

 private:
  detail::RequestDocument* document_;
  std::vector<Reason>* reasons_;
  bool failed_ = false;
};

struct Keys {
  std::vector<std::string> keys;
  std::vector<std::uint32_t> from;
  void add(std::string key, std::uint32_t expression) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) return;
    keys.push_back(std::move(key));
    from.push_back(expression);
  }
};

// More keys than any limit allows are not worth collecting: the ingress refuses so many.
constexpr std::size_t kMostKeys = 100'000;

void collect_keys(Run& run, const std::vector<Expression>& expressions, Keys& out) {
  constexpr std::string_view kWanted = "a string that is not empty, a number, or a list of those";
  for (std::uint32_t i = 0; i < expressions.size(); ++i) {
    const std::string pointer = fmt::format("/mapping/keys/{}", i);
    const Value value = run.ask(expressions[i], pointer);
    if (value.is_null()) continue;
    const bool list = value.type() == jmespath::Type::kArray;
    const std::size_t count = list ? value.size() : 1;
    for (std::size_t j = 0; j < count && out.keys.size() < kMostKeys; ++j) {
      const Value one = list ? value.at(j) : value;
      if (one.is_null()) continue;
      auto text = text_of(one);
      if (!text || text->empty()) {
        run.refuse(expressions[i], pointer, value, kWanted);
        break;
      }
      out.add(*std::move(text), i);
    }
  }
}

std::optional<Ttl> ttl_of(Run& run, const std::optional<Expression>& expression) {
  constexpr std::string_view kPointer = "/mapping/ttl";
  const Value value = run.ask(expression, kPointer);
  if (value.is_null()) return std::nullopt;
  if (const auto seconds = value.integer(); seconds && *seconds >= 0 && *seconds <= std::numeric_limits<std::int64_t>::max() / 1000)
    return Ttl::after(Milliseconds(*seconds * 1000));
  if (const auto text = value.string()) {
    if (auto ttl = parse_ttl(*text)) return *ttl;
  }
  run.refuse(*expression, kPointer, value, R"("never", a length of time such as "90s" or "7d", or whole seconds)");
  return std::nullopt;
}

void name_from(Run& run, const std::optional<Expression>& expression, std::string_view pointer, const std::string& otherwise,
               std::string& out) {
  constexpr std::string_view kWanted = "a name: 1 to 64 of [A-Za-z0-9._-]";
  if (auto text = run.text(expression, pointer, kWanted)) {
    if (!is_name(*text)) run.refuse(*expression, pointer, Value::of(std::string_view(*text)), kWanted);
    out = *std::move(text);
  } else {
    out = otherwise;
  }
}

// The bytes that were read where the value is a part of the body; else the value as JSON.
Payload payload_of(Run& run, const Expression& expression, const Payload& body) {
  constexpr std::string_view kPointer = "/mapping/payload";
  const Value value = run.ask(expression, kPointer);
  if (value.is_null()) {
    if (!run.failed()) run.refuse(expression, kPointer, value, "a value to store");
    return {};
  }
  if (const auto source = value.source()) {
    const auto* begin = body.data();
    if (!std::less<>()(source->data(), begin) && !std::less<>()(begin + body.size(), source->data() + source->size()))
      return body.slice(static_cast<std::size_t>(source->data() - begin), source->size());
  }
  auto json = value.json();
  if (json) return Payload::adopt(*std::move(json));
  run.refuse(expression, kPointer, value, "less");
  return {};
}

void collect_attributes(Run& run, const std::vector<std::pair<std::string, Expression>>& expressions, Attributes& out) {
  for (const auto& [name, expression] : expressions) {
    const std::string pointer = "/mapping/attributes/" + name;
    const Value value = run.ask(expression, pointer);
    if (value.is_null()) continue;
    if (auto text = text_of(value))
      out.emplace(name, *std::move(text));
    else
      run.refuse(expression, pointer, value, "a string, a number or a boolean");
  }
}

Error refused(std::vector<Reason> reasons) {
  std::string message = fmt::format("{}: {}", reasons.front().pointer, reasons.front().message);
  if (reasons.size() > 1) message += fmt::format(" (and {} more)", reasons.size() - 1);
  return Error(ErrorCode::kInvalidArgument, std::move(message)).because(std::move(reasons));
}

}  // namespace

Mapping::Mapping(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Mapping> Mapping::compile(MappingOptions options) {
  auto state = std::make_shared<State>();
  std::optional<Error> problem;
  const auto compiled = [&](const std::string& text, const std::string& field) -> std::optional<Expression> {
    auto expression = Expression::compile(text, options.expressions);
    if (expression) return *std::move(expression);
    if (!problem) problem = std::move(expression).error().at_field(field);
    return std::nullopt;
  };
  const auto optional = [&](const std::string& text, const char* field) { return text.empty() ? std::nullopt : compiled(text, field); };
  state->id = optional(options.id, "id");
  state->account = optional(options.account, "account");
  state->flow = optional(options.flow, "flow");
  state->owner = optional(options.owner, "owner");
  state->ttl = optional(options.ttl, "ttl");
  state->payload = optional(options.payload, "payload");
  for (std::size_t i = 0; i < options.keys.size(); ++i)
    if (auto key = compiled(options.keys[i], fmt::format("keys[{}]", i))) state->keys.push_back(*std::move(key));
  for (const auto& [name, text] : options.attributes)
    if (auto attribute = compiled(text, "attributes." + name)) state->attributes.emplace_back(name, *std::move(attribute));
  if (problem) return *std::move(problem);
  const auto refuse = [](const char* field, std::string what) {
    return Error(ErrorCode::kInvalidArgument, std::move(what)).at_field(field);
  };
  if (options.keys.empty()) return refuse("keys", "a record needs at least one key");
  for (const auto& [field, name] : {std::pair("account", &options.default_account), std::pair("flow", &options.default_flow)})
    if (!name->empty() && !is_name(*name)) return refuse(field, "a name is 1 to 64 of [A-Za-z0-9._-]");
  if (options.account.empty() && options.default_account.empty()) return refuse("account", "is required: an expression or a fixed name");
  if (options.flow.empty() && options.default_flow.empty()) return refuse("flow", "is required: an expression or a fixed name");
  state->options = std::move(options);
  return Mapping(std::move(state));
}

Result<Mapped> Mapping::map(const MappingInput& input) const {
  auto document = detail::RequestDocument::make(input, state_->options.document);
  if (!document) return std::move(document).error();
  std::vector<Reason> reasons;
  Run run(*document, reasons);
  Mapped out;
  SetRequest& request = out.request;
  if (auto id = run.text(state_->id, "/mapping/id", "a string that is not empty, or a number")) request.id = *std::move(id);
  Keys keys;
  collect_keys(run, state_->keys, keys);
  name_from(run, state_->account, "/mapping/account", state_->options.default_account, request.account);
  name_from(run, state_->flow, "/mapping/flow", state_->options.default_flow, request.flow);
  if (auto owner = run.text(state_->owner, "/mapping/owner", "a string that is not empty")) request.owner = *std::move(owner);
  request.ttl = ttl_of(run, state_->ttl);
  collect_attributes(run, state_->attributes, request.attributes);
  if (state_->payload) {
    request.payload = payload_of(run, *state_->payload, input.body);
  } else {
    request.payload = input.body;
    const auto type = detail::header_of(input, "content-type");
    request.content_type = !type.empty() ? std::string(type) : document->json() ? "application/json" : "application/octet-stream";
  }
  const auto missing = [&](std::string_view field, const std::string& value, const std::optional<Expression>& expression) {
    if (value.empty() && expression && reasons.empty())
      run.refuse(*expression, fmt::format("/mapping/{}", field), Value(), "a name: there is no default");
  };
  missing("account", request.account, state_->account);
  missing("flow", request.flow, state_->flow);
  if (keys.keys.empty() && reasons.empty()) {
    std::string all;
    for (const Expression& key : state_->keys) all += fmt::format("{}{}", all.empty() ? "" : "; ", shortened(key.text()));
    run.add("keys_missing", "/mapping/keys", fmt::format("no expression gave a key; wanted at least one from: {}", all));
  }
  if (!reasons.empty()) return refused(std::move(reasons));
  request.keys = KeyList(std::span<const std::string>(keys.keys));
  out.key_expressions = std::move(keys.from);
  return out;
}

void Mapping::explain(std::vector<Reason>& reasons, const Mapped& mapped) const {
  for (Reason& reason : reasons) {
    const std::string_view pointer = reason.pointer;
    const auto add = [&](const std::optional<Expression>& expression, std::string_view gave) {
      if (expression) reason.message += fmt::format("; the expression {} gave {}", shortened(expression->text()), shown(Value::of(gave)));
    };
    const SetRequest& request = mapped.request;
    if (pointer == "/id") add(state_->id, request.id);
    if (pointer == "/account") add(state_->account, request.account);
    if (pointer == "/flow") add(state_->flow, request.flow);
    if (pointer == "/owner") add(state_->owner, request.owner);
    if (pointer.starts_with("/keys/")) {
      std::size_t index = 0;
      const auto digits = pointer.substr(6);
      const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      if (read.ec != std::errc() || index >= mapped.key_expressions.size()) continue;
      auto key = request.keys.begin();
      std::advance(key, static_cast<std::ptrdiff_t>(index));
      add(state_->keys[mapped.key_expressions[index]], *key);
    }
    if (pointer.starts_with("/attributes/")) {
      const auto found = std::find_if(state_->attributes.begin(), state_->attributes.end(),
                                      [&](const auto& one) { return one.first == pointer.substr(12); });
      if (found != state_->attributes.end()) add(found->second, request.attributes.at(found->first));
    }
    if (pointer.starts_with("/payload") && state_->payload)
      reason.message += fmt::format("; the expression {} gave the payload", shortened(state_->payload->text()));
  }
}

}  // namespace setget::inline v0
