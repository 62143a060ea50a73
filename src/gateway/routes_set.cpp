// Routes that put sets into the queue.
#include <fmt/format.h>

#include <algorithm>

#include "core/json_pointer.hpp"
#include "gateway/core.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/media_type.hpp"
#include "gateway/problem.hpp"
#include "pipeline/isolation.hpp"

namespace setget::inline v0::detail {
namespace {

std::string_view top_field(std::string_view pointer) {
  constexpr std::string_view kSuffix = "_base64";
  std::string_view name = pointer.substr(0, pointer.find('/', 1));
  if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
  return name;
}

void append_receipt(JsonObject& object, const Receipt& receipt) {
  append_bytes(object, "id", receipt.id);
  object.number("version", receipt.version).text("message_id", receipt.message_id);
  if (receipt.deduplicated) object.boolean("deduplicated", true);
}

// A payload's syntax error, found by the validator, as the position in the whole body.
Error located(Error error, const Payload& json, std::size_t offset) {
  if (http_status(error) != 400) return error;
  auto syntax = find_syntax_error(json.view(), offset);
  return syntax ? *std::move(syntax) : error;
}

Error with_key_pointers(const Error& error, std::size_t plain_keys) {
  if (error.reasons().empty()) return error;
  auto reasons = error.reasons();
  point_at_key_lists(reasons, plain_keys);
  return Error(error).because(std::move(reasons));
}

std::string dedup_of(std::string_view dedup, std::size_t index) {
  return dedup.empty() ? std::string() : fmt::format("{}/{}", dedup, index);
}

// It was not the entry that was wrong: another try may end otherwise.
bool passes(const Error& error) { return error.retryable() || http_status(error) >= 500; }

void read_integer(const Query& query, std::string_view name, std::uint64_t least, std::optional<Version>& to,
                  std::vector<Reason>& reasons) {
  auto number = integer_parameter(query, name, least, kMaxVersion);
  if (number)
    to = *number;
  else
    reasons.insert(reasons.end(), number.error().reasons().begin(), number.error().reasons().end());
}

}  // namespace

GatewayResponse accepted(const Receipt& receipt) {
  std::string body;
  body.reserve(160);
  {
    JsonObject object(body);
    append_receipt(object, receipt);
  }
  auto response = json_response(202, std::move(body));
  response.headers.emplace_back("Location", "/v1/messages/" + percent_encode_segment(receipt.message_id));
  return response;
}

std::vector<Reason> GatewayCore::all_reasons(ParsedEnvelope& parsed) const {
  auto reasons = parsed.reasons;
  // What is no envelope at all has no fields to miss.
  if (reasons.size() == 1 && reasons.front().pointer.empty()) return reasons;
  for (auto& more : pipeline().ingress().check(parsed.request)) {
    // A field that could not be read is not also reported as missing or wrong.
    const bool known =
        std::ranges::any_of(parsed.reasons, [&](const Reason& r) { return top_field(r.pointer) == top_field(more.pointer); });
    if (!known && reasons.size() < limits().max_reasons) reasons.push_back(std::move(more));
  }
  point_at_key_lists(reasons, parsed.plain_keys);
  return reasons;
}

std::optional<GatewayResponse> GatewayCore::apply_preconditions(const Call& call, SetRequest& request, const Try& attempt) {
  const std::string if_match = condition_of(call.request, "If-Match");
  const std::string if_none_match = condition_of(call.request, "If-None-Match");
  if (if_match.empty() && if_none_match.empty()) return std::nullopt;
  if (request.expected_version)
    return problem_of(invalid({{"field_conflict", "expected_version excludes If-Match and If-None-Match", "/expected_version"}}));
  if (!if_none_match.empty() && trim(if_none_match) != "*")
    return problem_of(invalid({{"unsupported_precondition", "If-None-Match of a set takes only *", ""}}));

  const auto flows = pipeline().ttl_policy().flows();
  const bool isolated = flows && flows->isolate_accounts;
  // Before anything is looked up there: whether a record exists is an answer too.
  if (auto refused = isolated ? account_refusal(request.ns, request.account) : std::nullopt)
    return problem_of(invalid({*std::move(refused)}));
  const std::string_view ns = isolated ? std::string_view(request.account) : std::string_view(request.ns);
  Found found;
  if (!request.id.empty()) {
    auto looked = pipeline().reader().find_by_id(request.id, ns, deadline());
    if (!looked) return problem_of(looked.error());
    found = *std::move(looked);
  }
  const auto& current = found.record;
  // Of a request that comes again the queue knows whether it has been accepted. Where it has not, the worker finds that the condition does
  // not hold.
  if (!if_none_match.empty()) {
    if (current && !attempt.repeats) return refusal(412, "a record with this id exists");
    if (!request.id.empty()) request.expected_version = 0;
  }
  if (!if_match.empty()) {
    const std::string tag = current ? entity_tag(*current, Representation::kPayload, found.tier) : std::string();
    const std::string envelope_tag = current ? entity_tag(*current, Representation::kEnvelope, found.tier) : std::string();
    const bool named = names_tag(if_match, tag, Compare::kStrong) || names_tag(if_match, envelope_tag, Compare::kStrong);
    if (!named && !attempt.repeats) return refusal(412, "the record with this id is not at the version that If-Match names");
    // What only the archive has is none for the store; and no record is at the last version that there can be.
    request.expected_version = !named ? kMaxVersion : found.tier == Tier::kArchive ? 0 : current->version;
  }
  return std::nullopt;
}

GatewayResponse GatewayCore::send(const Call& call, SetRequest request, std::size_t plain_keys, const Payload& json, const Try& attempt) {
  request.ns = call.request.ns;
  request.traceparent = call.request.header("traceparent");
  if (auto refused = apply_preconditions(call, request, attempt)) return *std::move(refused);
  auto receipt = pipeline().set(std::move(request), deadline());
  if (!receipt) return problem_of(with_key_pointers(located(std::move(receipt).error(), json, 0), plain_keys));
  return accepted(*receipt);
}

GatewayResponse GatewayCore::set_record(const Call& call) {
  if (auto refused = refuse_without_length(call)) return *std::move(refused);
  if (auto refused = refuse_media_type(call, {"application/json"})) return *std::move(refused);
  if (auto unknown = call.query.check({}); !unknown.empty()) return problem_of(invalid(std::move(unknown)));
  auto parsed = parse_envelope_parts(call.request.body, limits(), PayloadCheck::kLater);
  const auto tell = [&] { return Meaning{.ns = namespace_of_set(call, parsed.request.account)}; };
  return idempotent(call, "records", tell, [&](const Try& attempt) { return set_envelope(call, std::move(parsed), attempt); });
}

GatewayResponse GatewayCore::set_envelope(const Call& call, ParsedEnvelope parsed, const Try& attempt) {
  if (parsed.syntax) return problem_of(*parsed.syntax);
  parsed.request.ns = call.request.ns;
  if (!parsed.reasons.empty()) return problem_of(invalid(all_reasons(parsed)));
  parsed.request.dedup_id = attempt.dedup;
  return send(call, std::move(parsed.request), parsed.plain_keys, call.request.body, attempt);
}

GatewayResponse GatewayCore::set_batch(const Call& call) {
  if (auto refused = refuse_without_length(call)) return *std::move(refused);
  if (auto refused = refuse_media_type(call, {"application/json", "application/x-ndjson"})) return *std::move(refused);
  if (auto unknown = call.query.check({}); !unknown.empty()) return problem_of(invalid(std::move(unknown)));
  const bool lines = equals_ignoring_case(media_type(call.request.header("Content-Type")), "application/x-ndjson");
  auto elements =
      lines ? Result<Elements>(split_lines(call.request.body, options_.max_batch)) : split_array(call.request.body, options_.max_batch);
  if (!elements) return problem_of(elements.error());
  if (elements->too_many)
    return problem_of(invalid({{"batch_too_large", fmt::format("more than {} envelopes in one batch", options_.max_batch), ""}}));
  // Its entries may be of several accounts: the listener's namespace is all that they have in common.
  const auto tell = [&] { return Meaning{.ns = call.request.ns}; };
  return idempotent(call, "records:batch", tell,
                    [&](const Try& attempt) { return set_envelopes(call, std::move(elements->items), attempt.dedup); });
}

Attempt GatewayCore::set_envelopes(const Call& call, std::vector<Element> elements, std::string_view dedup) {
  struct Slot {
    std::optional<Error> refused;
    std::size_t plain_keys = 0;
  };
  std::vector<Slot> slots(elements.size());
  std::vector<SetRequest> requests;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    auto parsed = parse_envelope_parts(elements[i].json, limits(), PayloadCheck::kLater, elements[i].offset);
    slots[i].plain_keys = parsed.plain_keys;
    parsed.request.ns = call.request.ns;
    if (parsed.syntax) {
      slots[i].refused = *std::move(parsed.syntax);
    } else if (!parsed.reasons.empty()) {
      slots[i].refused = invalid(all_reasons(parsed));
    } else {
      parsed.request.traceparent = call.request.header("traceparent");
      parsed.request.dedup_id = dedup_of(dedup, i);
      requests.push_back(std::move(parsed.request));
    }
  }
  Result<std::vector<Result<Receipt>>> sent = std::vector<Result<Receipt>>();
  if (!requests.empty()) sent = pipeline().set(std::move(requests), deadline());
  if (!sent) return problem_of(sent.error());

  bool holds = true;
  std::string body;
  {
    JsonObject object(body);
    JsonArray results(object.raw("results"));
    auto next = sent->begin();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (!slots[i].refused && next != sent->end()) {
        auto receipt = std::move(*next++);
        if (receipt) {
          JsonObject entry(results.raw());
          entry.number("status", 202);
          append_receipt(entry, *receipt);
          continue;
        }
        slots[i].refused =
            with_key_pointers(located(std::move(receipt).error(), elements[i].json, elements[i].offset), slots[i].plain_keys);
      }
      append_problem(results.raw(), http_status(*slots[i].refused), *slots[i].refused);
      holds = holds && !passes(*slots[i].refused);
    }
  }
  Attempt attempt = json_response(200, std::move(body));
  attempt.holds = holds;
  return attempt;
}

GatewayResponse GatewayCore::set_payload(const Call& call) {
  if (auto refused = refuse_without_length(call)) return *std::move(refused);
  if (auto refused = refuse_encoded(call.request)) return *std::move(refused);
  const auto tell = [&] {
    const std::string* account = call.query.find("account");
    return Meaning{.ns = namespace_of_set(call, account == nullptr ? std::string_view() : *account)};
  };
  return idempotent(call, "payloads", tell, [&](const Try& attempt) { return set_raw(call, attempt); });
}

GatewayResponse GatewayCore::set_raw(const Call& call, const Try& attempt) {
  ParsedEnvelope parsed;
  parsed.reasons = call.query.check({"account", "flow", "key", "ttl", "id", "owner", "version", "expected_version"}, "key");
  SetRequest& request = parsed.request;
  const auto text = [&](std::string_view name) {
    const std::string* value = call.query.find(name);
    return value == nullptr ? std::string() : *value;
  };
  std::vector<std::string_view> keys;
  for (const auto& [name, value] : call.query.all())
    if (name == "key") keys.push_back(value);
  request.keys = KeyList(std::span<const std::string_view>(keys));
  parsed.plain_keys = keys.size();
  request.account = text("account");
  request.flow = text("flow");
  request.id = text("id");
  request.owner = text("owner");
  const std::string_view type = call.request.header("Content-Type");
  request.content_type = type.empty() ? std::string_view("application/octet-stream") : type;
  request.payload = call.request.body;
  request.ns = call.request.ns;
  request.dedup_id = attempt.dedup;
  if (const std::string* given = call.query.find("ttl")) {
    auto ttl = parse_ttl(*given);
    if (ttl)
      request.ttl = *ttl;
    else
      parsed.reasons.push_back({"bad_ttl", ttl.error().message(), "/ttl"});
  }
  read_integer(call.query, "version", 1, request.version, parsed.reasons);
  read_integer(call.query, "expected_version", 0, request.expected_version, parsed.reasons);
  if (!parsed.reasons.empty()) return problem_of(invalid(all_reasons(parsed)));
  return send(call, std::move(request), parsed.plain_keys, call.request.body, attempt);
}

}  // namespace setget::inline v0::detail
