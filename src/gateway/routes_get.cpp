// Routes that read records and outcomes, and the erase by key.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "core/json_pointer.hpp"
#include "gateway/core.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/media_type.hpp"
#include "gateway/problem.hpp"

namespace setget::inline v0::detail {
namespace {

constexpr std::string_view kAnyType = "application/octet-stream";
constexpr std::size_t kKeysPerRead = 64;  // of a multi-get, at most; fewer where their records could be large
constexpr Milliseconds kWaitSlice{500};   // a draining gateway answers long polls at least so soon

Reason key_reason(std::string_view key, std::size_t limit, std::string pointer) {
  if (key.empty()) return {"key_empty", "a key has at least one byte", std::move(pointer)};
  return {"key_too_long", fmt::format("{} bytes, limit {}", key.size(), limit), std::move(pointer)};
}

void append_reasons(std::string& out, const std::vector<Reason>& reasons) {
  JsonArray array(out);
  for (const auto& reason : reasons) {
    JsonObject object(array.raw());
    object.text("code", reason.code).text("message", reason.message).text("pointer", reason.pointer);
  }
}

}  // namespace

Result<std::string> GatewayCore::key_of(const Call& call, std::initializer_list<std::string_view> parameters) const {
  const bool in_path = call.target.path != "/v1/records";
  if (!call.query.all().empty()) {
    std::vector<std::string_view> known(parameters);
    if (!in_path) known.emplace_back("key");
    const auto flows = pipeline().ttl_policy().flows();
    if (flows && flows->isolate_accounts) known.emplace_back("account");
    if (auto unknown = call.query.check(known); !unknown.empty()) return invalid(std::move(unknown));
  }

  std::string key;
  if (in_path) {
    auto decoded = percent_decode(call.rest, Plus::kLiteral, call.rest_offset);
    if (!decoded) return std::move(decoded).error();
    key = *std::move(decoded);
  } else if (const std::string* given = call.query.find("key")) {
    key = *given;
  } else {
    return invalid({{"key_missing", "name a key: /v1/records/{key} or /v1/records?key=", "/key"}});
  }
  if (key.empty() || key.size() > limits().max_key_bytes) return invalid({key_reason(key, limits().max_key_bytes, "/key")});
  return key;
}

namespace {

// `tiers`: whether there is more than one that could have answered. Nobody needs the header elsewhere.
GatewayResponse record_response(const GatewayRequest& request, const Record& record, Tier tier, Representation representation, bool tiers) {
  std::string tag = entity_tag(record, representation, tier);
  const std::string if_match = condition_of(request, "If-Match");
  if (!if_match.empty() && !names_tag(if_match, tag, Compare::kStrong))
    return refusal(412, "the record is not at the version that If-Match names");
  const bool not_modified = names_tag(condition_of(request, "If-None-Match"), tag, Compare::kWeak);

  GatewayResponse response;
  response.status = not_modified ? 304 : 200;
  response.headers.reserve(10);
  response.headers.emplace_back("ETag", std::move(tag));
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.headers.emplace_back("Setget-Id", percent_encode(record.id));
  response.headers.emplace_back("Setget-Version", std::to_string(record.version));
  if (tiers) response.headers.emplace_back("Setget-Tier", to_string(tier));
  response.headers.emplace_back("Setget-Expires-At", record.expires_at ? rfc3339(*record.expires_at) : "never");
  // RFC 9211: a time to live below zero is what is past it.
  if (record.stale) {
    const auto age = std::chrono::ceil<std::chrono::seconds>(*record.stale).count();
    response.headers.emplace_back("Cache-Status", fmt::format("setget; hit; ttl=-{}; detail=stale", std::max<std::int64_t>(age, 1)));
  }
  if (not_modified) return response;
  if (representation == Representation::kEnvelope) {
    response.headers.emplace_back("Content-Type", "application/json");
    response.body = Payload::adopt(write_envelope(record, tier));
    return response;
  }
  const bool sendable = !record.content_type.empty() && is_header_value(record.content_type);
  response.headers.emplace_back("Content-Type", sendable ? std::string_view(record.content_type) : kAnyType);
  // Payloads are the producers': a browser must not read more into them than their type says.
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.body = record.payload;
  return response;
}

GatewayResponse record_answer(const GatewayRequest& request, const Found& found, Representation representation, bool tiers) {
  if (found.record) return record_response(request, *found.record, found.tier, representation, tiers);
  return refusal(condition_of(request, "If-Match").empty() ? 404 : 412, "no record under this key");
}
GatewayResponse record_answer(const GatewayRequest& request, const Result<Found>& found, Representation representation, bool tiers) {
  if (!found) return problem_of(found.error());
  return record_answer(request, *found, representation, tiers);
}

GatewayResponse too_large_together(std::size_t most) {
  return refusal(413, fmt::format("the records are larger than {} bytes together; ask for fewer keys", most));
}

}  // namespace

Result<GatewayCore::RecordQuestion> GatewayCore::record_question(const Call& call) const {
  auto key = key_of(call, {"envelope"});
  if (!key) return std::move(key).error();
  auto envelope = boolean_parameter(call.query, "envelope");
  if (!envelope) return std::move(envelope).error();
  auto ns = namespace_of(call);
  if (!ns) return std::move(ns).error();
  return RecordQuestion{
      .key = *std::move(key), .ns = *std::move(ns), .representation = *envelope ? Representation::kEnvelope : Representation::kPayload};
}

GatewayResponse GatewayCore::get_record(const Call& call) {
  const auto question = record_question(call);
  if (!question) return problem_of(question.error());
  return record_answer(call.request, pipeline().reader().find(question->key, question->ns, deadline()), question->representation,
                       pipeline().reader().reads_through());
}

std::optional<GatewayResponse> GatewayCore::get_record_later(const Call& call, const std::shared_ptr<Later>& later) {
  const auto question = record_question(call);
  if (!question) return problem_of(question.error());
  const auto& reader = pipeline().reader();
  reader.find_async(question->key, question->ns, deadline(),
                    [later, representation = question->representation, tiers = reader.reads_through()](const Result<Found>& found) {
                      later->answer(guarded([&] { return record_answer(later->request, found, representation, tiers); }));
                    });
  return std::nullopt;
}

std::optional<GatewayResponse> GatewayCore::get_record_at_hand(const Call& call, std::optional<Repeat>* repeat) {
  // Before the request is understood: who finds others later must not take it for understood by them.
  auto flows = repeat != nullptr ? pipeline().ttl_policy().flows() : nullptr;
  auto question = record_question(call);
  if (!question) return std::nullopt;
  const auto& reader = pipeline().reader();
  const auto record = reader.record_at_hand(question->key, question->ns);
  if (!record) return std::nullopt;
  if (*record == nullptr) return record_answer(call.request, Found{}, question->representation, reader.reads_through());
  auto response = record_response(call.request, **record, Tier::kStore, question->representation, reader.reads_through());
  // One that nobody else has is a copy, and never comes again.
  const bool kept = record->use_count() > 1;
  if (repeat != nullptr && kept && response.status == 200 && question->representation == Representation::kPayload)
    repeat->emplace(Repeat{.key = std::move(question->key), .ns = std::move(question->ns), .record = *record, .flows = flows});
  return response;
}

std::vector<Reason> GatewayCore::reasons_against(const KeyQuery& query) const {
  std::vector<Reason> reasons;
  for (std::size_t i = 0; i < query.keys.size() && reasons.size() < limits().max_reasons; ++i) {
    const std::string& key = query.keys[i];
    if (!key.empty() && key.size() <= limits().max_key_bytes) continue;
    const bool plain = i < query.plain_keys;
    const auto pointer = plain ? fmt::format("/keys/{}", i) : fmt::format("/keys_base64/{}", i - query.plain_keys);
    reasons.push_back(key_reason(key, limits().max_key_bytes, pointer));
  }
  return reasons;
}

GatewayResponse GatewayCore::get_records(const Call& call) {
  if (auto refused = refuse_without_length(call)) return *std::move(refused);
  if (auto refused = refuse_media_type(call, {"application/json"})) return *std::move(refused);
  const auto flows = pipeline().ttl_policy().flows();
  auto unknown = flows && flows->isolate_accounts ? call.query.check({"account"}) : call.query.check({});
  if (!unknown.empty()) return problem_of(invalid(std::move(unknown)));
  auto ns = namespace_of(call);
  if (!ns) return problem_of(ns.error());
  auto query = parse_key_query(call.request.body, options_.max_batch, limits().max_reasons);
  if (!query) return problem_of(query.error());
  if (query->reasons.empty()) query->reasons = reasons_against(*query);
  if (!query->reasons.empty()) return problem_of(invalid(std::move(query->reasons)));

  return read_records(query->keys, *ns);
}

// A short request must not make much of the store's bytes be held: each key is read once however often it is named, and what is read
// before the size is looked at again stays within what the answer may have.
GatewayResponse GatewayCore::read_records(const std::vector<std::string>& keys, std::string_view ns) const {
  struct Text {  // of a key's record in the answer; nothing yet: size 0
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  std::unordered_map<std::string_view, Text> texts;
  std::vector<std::string_view> distinct;
  for (const auto& key : keys)
    if (texts.try_emplace(key).second) distinct.push_back(key);

  const std::size_t most = options_.max_response;
  const std::size_t at_once = std::clamp<std::size_t>(most / std::max<std::size_t>(limits().max_payload, 1), 1, kKeysPerRead);
  const Deadline until = deadline();
  std::vector<Found> found;
  std::size_t next = 0;  // of what was found
  std::size_t read = 0;  // of the distinct keys
  std::string body;
  {
    JsonObject object(body);
    JsonArray records(object.raw("records"));
    for (const std::string_view key : keys) {
      std::string& out = records.raw();
      Text& text = texts.find(key)->second;
      if (text.size != 0) {
        // Looked at before it is written: nobody knows how often it still comes.
        if (out.size() + text.size > most) return too_large_together(most);
        out.append(out, text.begin, text.size);
        continue;
      }
      if (next == found.size()) {
        const auto part = std::span(distinct).subspan(read, std::min(at_once, distinct.size() - read));
        auto more = pipeline().reader().get(part, ns, until);
        if (!more) return problem_of(more.error());
        found = *std::move(more);
        read += part.size();
        next = 0;
      }
      const Found one = std::move(found[next++]);
      text.begin = out.size();
      if (one.record)
        append_envelope(out, *one.record, one.tier);
      else
        out += "null";
      text.size = out.size() - text.begin;
      if (out.size() > most) return too_large_together(most);
    }
  }
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::erase_record(const Call& call) {
  auto key = key_of(call, {});
  if (!key) return problem_of(key.error());
  auto ns = namespace_of(call);
  if (!ns) return problem_of(ns.error());
  const auto tell = [&] { return Meaning{.ns = *ns}; };
  return idempotent(call, "erase", tell, [&](const Try& attempt) {
    if (const std::string if_match = condition_of(call.request, "If-Match"); !if_match.empty()) {
      auto found = pipeline().reader().find(*key, *ns, deadline());
      if (!found) return problem_of(found.error());
      const std::string tag = found->record ? entity_tag(*found->record, Representation::kPayload, found->tier) : std::string();
      // Where nothing is there any more a try before may have erased it.
      if (!names_tag(if_match, tag, Compare::kStrong) && !(attempt.repeats && !found->record))
        return refusal(412, "the record under this key is not at the version that If-Match names");
    }
    EraseRequest request{.ns = *ns,
                         .id = {},
                         .key = *key,
                         .version = {},
                         .dedup_id = std::string(attempt.dedup),
                         .traceparent = std::string(call.request.header("traceparent"))};
    auto receipt = pipeline().erase(std::move(request), deadline());
    if (!receipt) return problem_of(receipt.error());
    std::string body;
    {
      JsonObject object(body);
      object.text("message_id", receipt->message_id);
      if (receipt->deduplicated) object.boolean("deduplicated", true);
    }
    auto response = json_response(202, std::move(body));
    response.headers.emplace_back("Location", "/v1/messages/" + percent_encode_segment(receipt->message_id));
    return response;
  });
}

// Waits in slices, so that a drain does not take as long as the most patient client; gives up its place where too many wait.
Result<MessageStatus> GatewayCore::wait_for(const std::string& message_id, Milliseconds wait) {
  if (wait <= Milliseconds(0)) return pipeline().message(message_id, Deadline::immediate());
  struct Place {
    std::atomic<std::size_t>& waiters;
    std::size_t before = waiters.fetch_add(1, std::memory_order_acq_rel);
    ~Place() { waiters.fetch_sub(1, std::memory_order_acq_rel); }
  } place{waiters_};
  if (place.before >= options_.max_waiters) return pipeline().message(message_id, Deadline::immediate());
  const Deadline until = Deadline::in(wait);
  for (;;) {
    const auto slice = std::min<Deadline::Steady::duration>(until.left(), kWaitSlice);
    auto status = pipeline().message(message_id, Deadline::in(slice));
    if (!status || status->outcome != Outcome::kPending || until.passed() || draining_.load(std::memory_order_acquire)) return status;
  }
}

GatewayResponse GatewayCore::get_message(const Call& call) {
  if (auto unknown = call.query.check({"wait"}); !unknown.empty()) return problem_of(invalid(std::move(unknown)));
  auto message_id = percent_decode(call.rest, Plus::kLiteral, call.rest_offset);
  if (!message_id) return problem_of(message_id.error());
  Milliseconds wait{0};
  if (const std::string* text = call.query.find("wait")) {
    auto length = parse_ttl(*text);
    if (!length || length->is_never || length->length > options_.max_wait)
      return problem_of(
          invalid({{"invalid_wait", fmt::format("a length such as 5s or 500ms, at most {} ms", options_.max_wait.count()), "/wait"}}));
    wait = length->length;
  }
  auto status = wait_for(*message_id, wait);
  if (!status) return problem_of(status.error());

  std::optional<Command> command;
  if (status->body) {
    if (auto decoded = decode_command(*status->body)) command = *std::move(decoded);
  }
  // A listener's namespace does not see the messages of another; where accounts are isolated, a listener without one sees those of all.
  const auto flows = pipeline().ttl_policy().flows();
  const bool sees_all = flows && flows->isolate_accounts && call.request.ns.empty();
  if (command && command->ns != call.request.ns && !sees_all) return refusal(404, "no such message");

  std::string body;
  {
    JsonObject object(body);
    object.text("message_id", status->message_id);
    if (command && !command->id.empty())
      append_bytes(object, "id", command->id);
    else
      object.null("id");
    if (command && command->kind == CommandKind::kSet)
      object.number("version", command->version.value_or(status->stamp));
    else
      object.null("version");
    object.text("outcome", to_string(status->outcome));
    append_reasons(object.raw("reasons"), status->reasons);
    object.number("receive_count", status->receive_count);
  }
  auto response = json_response(200, std::move(body));
  if (status->outcome == Outcome::kPending) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace setget::inline v0::detail
