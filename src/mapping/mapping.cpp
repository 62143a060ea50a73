#include <setget/mapping.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "core/cut_text.hpp"
#include "core/json_pointer.hpp"
#include "mapping/arena.hpp"
#include "mapping/distinct_texts.hpp"
#include "mapping/json_string.hpp"
#include "mapping/node.hpp"
#include "mapping/request_document.hpp"

namespace setget::inline v0 {
namespace {

using jmespath::Expression;
using jmespath::Value;

constexpr std::size_t kShownBytes = 120;  // of an expression or a value in a message

std::string shortened(std::string_view text) {
  const auto start = detail::cut_text(text, kShownBytes);
  return start.size() == text.size() ? std::string(text) : fmt::format("{}… ({} bytes)", start, text.size());
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

// One request on its way through the expressions, which share the limits of one; collects what is wrong.
class Run {
 public:
  Run(detail::RequestDocument& document, const jmespath::Options& limits, std::vector<Reason>& reasons)
      : document_(&document), limits_(&limits), arena_(&jmespath::detail::Access::arena(document.workspace())), reasons_(&reasons) {
    arena_->budget = jmespath::detail::Arena::Budget{limits.max_steps, arena_->used_after(limits.max_result_bytes)};
  }

  // Null where the expression is not there, or failed.
  Value ask(const std::optional<Expression>& expression, std::string_view pointer) {
    return expression ? ask(*expression, pointer) : Value();
  }
  Value ask(const Expression& expression, std::string_view pointer) {
    auto value = expression.evaluate(document_->root(), document_->workspace());
    if (value) return *value;
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
  // What text() gives, but not copied: it lives as long as this, its document and the expressions.
  std::optional<std::string_view> borrowed_text(const Value& value) {
    if (const auto text = value.string()) return text;
    if (value.type() != jmespath::Type::kNumber && value.type() != jmespath::Type::kBoolean) return std::nullopt;
    if (const auto source = value.source()) return source;
    return document_->workspace().copy(*text_of(value)).string();
  }
  // Steps of what is done with the value of an expression. False: there are no more, and that is noted.
  bool spend(std::uint64_t steps, const Expression& expression, std::string_view pointer, std::string_view what) {
    auto& left = arena_->budget->steps;
    if (steps <= left) {
      left -= steps;
      return true;
    }
    add("mapping_failed", pointer,
        fmt::format("the expression {} failed: {} takes more than {} steps", shortened(expression.text()), what, limits_->max_steps));
    return false;
  }
  void refuse(const Expression& expression, std::string_view pointer, const Value& value, std::string_view wanted) {
    add("mapping_value", pointer, fmt::format("the expression {} gave {}; wanted {}", shortened(expression.text()), shown(value), wanted));
  }
  void add(std::string_view code, std::string_view pointer, std::string message) {
    constexpr std::size_t kMostReasons = 64;
    if (reasons_->size() < kMostReasons) reasons_->push_back({std::string(code), std::move(message), std::string(pointer)});
  }
  // Something is wrong there, or below: that it also gave nothing is no news.
  bool has_reason(std::string_view pointer) const {
    return std::ranges::any_of(
        *reasons_,
        [&](std::string_view one) { return one.starts_with(pointer) && (one.size() == pointer.size() || one[pointer.size()] == '/'); },
        &Reason::pointer);
  }

 private:
  detail::RequestDocument* document_;
  const jmespath::Options* limits_;
  jmespath::detail::Arena* arena_;
  std::vector<Reason>* reasons_;
};

class Keys {
 public:
  // More are not worth collecting: an ingress refuses so many.
  static constexpr std::size_t kMost = 100'000;

  // What it takes to add one, in steps.
  std::uint64_t steps(std::string_view key) const noexcept {
    return (1 + key.size() / jmespath::detail::kTextStep) * static_cast<std::uint64_t>(std::bit_width(keys_.size() | 1));
  }
  // False: they would be too many.
  bool add(std::string_view key, std::uint32_t expression) {
    if (keys_.find(key)) return true;
    if (keys_.size() == kMost) return false;
    keys_.add(key);
    from_.push_back(expression);
    return true;
  }
  bool empty() const noexcept { return from_.empty(); }
  KeyList list() const { return KeyList(keys_.texts()); }
  // Which expression gave each.
  std::vector<std::uint32_t> take_from() && { return std::move(from_); }

 private:
  detail::DistinctTexts keys_;
  std::vector<std::uint32_t> from_;
};

void collect_keys(Run& run, const std::vector<Expression>& expressions, Keys& out) {
  constexpr std::string_view kWanted = "a string that is not empty, a number, or a list of those";
  for (std::uint32_t i = 0; i < expressions.size(); ++i) {
    const std::string pointer = fmt::format("/mapping/keys/{}", i);
    const Value value = run.ask(expressions[i], pointer);
    if (value.is_null()) continue;
    const bool list = value.type() == jmespath::Type::kArray;
    const std::size_t count = list ? value.size() : 1;
    for (std::size_t j = 0; j < count; ++j) {
      const Value one = list ? value.at(j) : value;
      const auto text = one.is_null() ? std::string_view() : run.borrowed_text(one);
      if (!run.spend(text ? out.steps(*text) : 1, expressions[i], pointer, "to look through its keys")) break;
      if (one.is_null()) continue;
      if (!text || text->empty()) {
        run.refuse(expressions[i], pointer, value, kWanted);
        break;
      }
      if (!out.add(*text, i)) {
        run.refuse(expressions[i], pointer, value, fmt::format("at most {} keys of all expressions", Keys::kMost));
        break;
      }
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
    if (!run.has_reason(kPointer)) run.refuse(expression, kPointer, value, "a value to store");
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
    const std::string pointer = detail::child_pointer("/mapping/attributes", name);
    const Value value = run.ask(expression, pointer);
    if (value.is_null()) continue;
    if (auto text = text_of(value))
      out.emplace(name, *std::move(text));
    else
      run.refuse(expression, pointer, value, "a string, a number or a boolean");
  }
}

// What is added to the message of a violation.
std::string gave(const Expression& expression, std::string_view what) {
  return fmt::format("; the expression {} gave {}", shortened(expression.text()), what);
}
std::string gave(const std::optional<Expression>& expression, std::string_view text) {
  return expression ? gave(*expression, text.empty() ? "null" : shown(Value::of(text))) : std::string();
}

// Which expression gave the most keys, and how many. Precondition: some.
std::pair<std::uint32_t, std::size_t> most_of(std::span<const std::uint32_t> expressions) {
  std::map<std::uint32_t, std::size_t> counts;
  for (const auto one : expressions) ++counts[one];
  return *std::ranges::max_element(counts, {}, [](const auto& one) { return one.second; });
}

// The value of an attribute; nullptr where its expression gave null.
const std::string* value_in(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? nullptr : &found->second;
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
  Run run(*document, state_->options.expressions, reasons);
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
  const auto missing = [&](std::string_view pointer, const std::string& value, const std::optional<Expression>& expression) {
    if (value.empty() && expression && !run.has_reason(pointer)) run.refuse(*expression, pointer, Value(), "a name: there is no default");
  };
  missing("/mapping/account", request.account, state_->account);
  missing("/mapping/flow", request.flow, state_->flow);
  if (keys.empty() && !run.has_reason("/mapping/keys")) {
    std::string all;
    for (const Expression& key : state_->keys) all += fmt::format("{}{}", all.empty() ? "" : "; ", shortened(key.text()));
    run.add("keys_missing", "/mapping/keys", fmt::format("no expression gave a key; wanted at least one from: {}", all));
  }
  if (!reasons.empty()) return refused(std::move(reasons));
  request.keys = keys.list();
  out.key_expressions = std::move(keys).take_from();
  return out;
}

void Mapping::explain(std::vector<Reason>& reasons, const Mapped& mapped) const {
  const SetRequest& request = mapped.request;
  for (Reason& reason : reasons) {
    const std::string_view pointer = reason.pointer;
    if (pointer == "/id") reason.message += gave(state_->id, request.id);
    if (pointer == "/account") reason.message += gave(state_->account, request.account);
    if (pointer == "/flow") reason.message += gave(state_->flow, request.flow);
    if (pointer == "/owner") reason.message += gave(state_->owner, request.owner);
    if (pointer == "/ttl") reason.message += gave(state_->ttl, request.ttl ? to_string(*request.ttl) : std::string());
    if (pointer == "/keys" && !mapped.key_expressions.empty()) {
      const auto [expression, count] = most_of(mapped.key_expressions);
      reason.message += gave(state_->keys[expression], fmt::format("{} of them", count));
    }
    if (pointer.starts_with("/keys/")) {
      std::size_t index = 0;
      const auto digits = pointer.substr(6);
      const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      if (read.ec != std::errc() || index >= mapped.key_expressions.size()) continue;
      auto key = request.keys.begin();
      std::advance(key, static_cast<std::ptrdiff_t>(index));
      reason.message += gave(state_->keys[mapped.key_expressions[index]], shown(Value::of(*key)));
    }
    const auto attribute_gave = [&](const auto& attribute) {
      const auto* value = value_in(request.attributes, attribute.first);
      reason.message += gave(attribute.second, value == nullptr ? "null" : shown(Value::of(std::string_view(*value))));
    };
    // All of them are too large together: the largest is named.
    if (pointer == "/attributes" && !state_->attributes.empty())
      attribute_gave(*std::ranges::max_element(state_->attributes, {}, [&](const auto& one) {
        const auto* value = value_in(request.attributes, one.first);
        return value == nullptr ? 0 : value->size();
      }));
    if (pointer.starts_with("/attributes/")) {
      const auto found = std::ranges::find_if(state_->attributes,
                                              [&](const auto& one) { return detail::child_pointer("/attributes", one.first) == pointer; });
      if (found != state_->attributes.end()) attribute_gave(*found);
    }
    if (pointer.starts_with("/payload") && state_->payload) reason.message += gave(*state_->payload, "the payload");
  }
}

}  // namespace setget::inline v0
