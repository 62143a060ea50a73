// Routes over dead letters: list, show, redrive, purge.
#include <fmt/format.h>

#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "core/json_pointer.hpp"
#include "gateway/base64.hpp"
#include "gateway/core.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/problem.hpp"

namespace setget::inline v0::detail {
namespace {

constexpr std::uint64_t kMaxPage = 1000;
constexpr std::uint64_t kDefaultPage = 100;
constexpr std::uint64_t kMaxMoved = 100'000;
constexpr std::size_t kMaxMessageIds = 1000;
constexpr char kEmptyReason[] = "name a code, or leave the field out";
constexpr std::uint64_t kMaxTime = 253'402'300'799'999;  // the last millisecond of the year 9999

std::string_view kind_name(CommandKind kind) noexcept {
  switch (kind) {
    case CommandKind::kSet:
      return "set";
    case CommandKind::kErase:
      return "erase";
    case CommandKind::kEraseKey:
      return "erase_key";
    case CommandKind::kTouch:
      return "touch";
  }
  return "unknown";
}

void append_reason_list(std::string& out, const std::vector<Reason>& reasons) {
  JsonArray array(out);
  for (const auto& reason : reasons) {
    JsonObject object(array.raw());
    object.text("code", reason.code).text("message", reason.message).text("pointer", reason.pointer);
  }
}

void append_base64_field(JsonObject& object, std::string_view name, std::string_view bytes) {
  std::string& out = object.raw(name);
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

void append_command(JsonObject& object, const Command& command) {
  object.text("kind", kind_name(command.kind)).text("namespace", command.ns);
  append_bytes(object, "id", command.id);
  append_keys(object, "keys", command.keys);
  object.text("account", command.account).text("flow", command.flow).text("content_type", command.content_type);
  if (command.version) object.number("requested_version", *command.version);
  if (command.expected_version) object.number("expected_version", *command.expected_version);
}

void append_letter(std::string& out, const DeadLetter& letter, bool with_body) {
  JsonObject object(out);
  object.text("message_id", letter.message_id).number("stamp", letter.stamp).number("size", letter.body.size());
  append_reason_list(object.raw("reasons"), letter.reasons);
  append_reason_list(object.raw("history"), letter.history);
  object.number("receive_count", letter.receive_count);
  object.text("sent_at", rfc3339(letter.sent_at)).text("dead_at", rfc3339(letter.dead_at));
  // Poison may be dead just because it cannot be decoded: then its bytes are all there is to show.
  auto command = decode_command(letter.body);
  if (command)
    append_command(object, *command);
  else
    object.text("undecodable", command.error().message());
  if (!with_body) return;
  {
    JsonObject attributes(object.raw("attributes"));
    for (const auto& [name, value] : letter.attributes) append_bytes(attributes, name, value.data);
  }
  if (command) append_base64_field(object, "payload_base64", command->payload.view());
  append_base64_field(object, "body_base64", letter.body.view());
}

TimePoint time_at(std::uint64_t milliseconds) { return TimePoint(Milliseconds(static_cast<std::int64_t>(milliseconds))); }

// Which letters, how many, and how: from a JSON body or from the query.
struct Selection {
  DeadLetterFilter filter;
  std::uint64_t limit = kDefaultPage;
  bool restamp = false;
  std::vector<Reason> reasons;

  void refuse(std::string_view name, std::string code, std::string message) {
    reasons.push_back({std::move(code), std::move(message), child_pointer({}, name)});
  }
};

void read_message_ids(Selection& selection, const nlohmann::json& value) {
  if (!value.is_array() || value.size() > kMaxMessageIds)
    return selection.refuse("message_ids", "wrong_type", fmt::format("expected an array of at most {} message ids", kMaxMessageIds));
  for (const auto& id : value) {
    if (!id.is_string()) return selection.refuse("message_ids", "wrong_type", "expected strings");
    selection.filter.message_ids.push_back(id.get<std::string>());
  }
  // An empty list means "none of them", but an empty filter means "all".
  if (selection.filter.message_ids.empty())
    selection.refuse("message_ids", "empty_list", "name at least one message, or leave the field out");
}

void read_field(Selection& selection, const std::string& name, const nlohmann::json& value, bool may_restamp) {
  const auto whole = [&](std::uint64_t most) -> std::optional<std::uint64_t> {
    if (value.is_number_unsigned() && value.get<std::uint64_t>() <= most) return value.get<std::uint64_t>();
    selection.refuse(name, "out_of_range", fmt::format("an integer in [0, {}]", most));
    return std::nullopt;
  };
  if (name == "message_ids") return read_message_ids(selection, value);
  if (name == "reason") {
    if (!value.is_string()) return selection.refuse(name, "wrong_type", "expected the code of a reason, a string");
    selection.filter.reason_code = value.get<std::string>();
    // Likewise: no code is empty, but an empty filter means "all".
    if (selection.filter.reason_code.empty()) selection.refuse(name, "empty_reason", kEmptyReason);
  } else if (name == "limit") {
    if (const auto limit = whole(kMaxMoved)) selection.limit = *limit;
  } else if (name == "before_ms" || name == "after_ms") {
    if (const auto time = whole(kMaxTime))
      (name == "before_ms" ? selection.filter.dead_before : selection.filter.dead_after) = time_at(*time);
  } else if (name == "restamp" && may_restamp) {
    if (!value.is_boolean()) return selection.refuse(name, "wrong_type", "expected true or false");
    selection.restamp = value.get<bool>();
  } else {
    selection.refuse(name.substr(0, 64), "unknown_field", "not known here");
  }
}

Result<Selection> selection_of(const Payload& body, bool may_restamp) {
  Selection selection;
  if (body.empty()) return selection;
  if (auto syntax = find_syntax_error(body.view())) return *std::move(syntax);
  // The parser keeps the last of two fields of one name: who wrote both meant one of them, and what is purged does not come back.
  std::set<std::string> names;
  const auto once = [&](int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    if (depth != 1 || event != nlohmann::json::parse_event_t::key) return true;
    const auto& name = parsed.get_ref<const std::string&>();
    if (!names.insert(name).second) selection.refuse(name.substr(0, 64), "duplicate_name", "the name appears twice");
    return true;
  };
  const auto json = nlohmann::json::parse(body.view(), once, false);
  if (!json.is_object()) return invalid({{"wrong_type", "expected an object such as {\"limit\":100}", ""}});
  for (const auto& [name, value] : json.items()) read_field(selection, name, value, may_restamp);
  if (!selection.reasons.empty()) return invalid(std::move(selection.reasons));
  return selection;
}

}  // namespace

GatewayResponse GatewayCore::list_dead_letters(const Call& call) {
  auto reasons = call.query.check({"limit", "cursor", "reason", "before_ms", "after_ms"});
  if (!reasons.empty()) return problem_of(invalid(std::move(reasons)));
  auto limit = integer_parameter(call.query, "limit", 1, kMaxPage);
  if (!limit) return problem_of(limit.error());
  auto before = integer_parameter(call.query, "before_ms", 0, kMaxTime);
  if (!before) return problem_of(before.error());
  auto after = integer_parameter(call.query, "after_ms", 0, kMaxTime);
  if (!after) return problem_of(after.error());

  ListDeadLetters request{
      .queue = queue_name(), .filter = {}, .cursor = {}, .limit = limit->value_or(kDefaultPage), .deadline = deadline()};
  if (const std::string* cursor = call.query.find("cursor")) request.cursor = *cursor;
  if (const std::string* reason = call.query.find("reason")) {
    if (reason->empty()) return problem_of(invalid({{"empty_reason", kEmptyReason, "/reason"}}));
    request.filter.reason_code = *reason;
  }
  if (*before) request.filter.dead_before = time_at(**before);
  if (*after) request.filter.dead_after = time_at(**after);
  auto page = queue().dead_letters(request);
  if (!page) return problem_of(page.error());
  std::string body;
  {
    JsonObject object(body);
    {
      JsonArray letters(object.raw("dead_letters"));
      for (const auto& letter : page->letters) append_letter(letters.raw(), letter, false);
    }
    if (page->next.empty())
      object.null("next");
    else
      object.text("next", page->next);
  }
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::show_dead_letter(const Call& call) {
  auto message_id = percent_decode(call.rest, Plus::kLiteral, call.rest_offset);
  if (!message_id) return problem_of(message_id.error());
  ListDeadLetters request{.queue = queue_name(), .filter = {}, .cursor = {}, .limit = 1, .deadline = deadline()};
  request.filter.message_ids.push_back(*message_id);
  auto page = queue().dead_letters(request);
  if (!page) return problem_of(page.error());
  if (page->letters.empty()) return refusal(404, "no dead letter with this message id");
  std::string body;
  append_letter(body, page->letters.front(), true);
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::redrive_dead_letters(const Call& call) {
  // The list takes its conditions there: passed over here, they would select everything.
  if (auto unknown = call.query.check({}); !unknown.empty()) return problem_of(invalid(std::move(unknown)));
  auto selection = selection_of(call.request.body, true);
  if (!selection) return problem_of(selection.error());
  auto moved = queue().redrive({.queue = queue_name(),
                                .filter = std::move(selection->filter),
                                .limit = selection->limit,
                                .restamp = selection->restamp,
                                .deadline = deadline()});
  if (!moved) return problem_of(moved.error());
  std::string body;
  JsonObject(body).number("redriven", *moved);
  return json_response(200, std::move(body));
}

GatewayResponse GatewayCore::purge_dead_letters(const Call& call) {
  if (auto unknown = call.query.check({}); !unknown.empty()) return problem_of(invalid(std::move(unknown)));
  auto selection = selection_of(call.request.body, false);
  if (!selection) return problem_of(selection.error());
  auto purged =
      queue().purge({.queue = queue_name(), .filter = std::move(selection->filter), .limit = selection->limit, .deadline = deadline()});
  if (!purged) return problem_of(purged.error());
  std::string body;
  JsonObject(body).number("purged", *purged);
  return json_response(200, std::move(body));
}

}  // namespace setget::inline v0::detail
