#include "pipeline/ingress_prepare.hpp"

#include <fmt/format.h>

#include "pipeline/isolation.hpp"
#include "pipeline/trace.hpp"

namespace setget::inline v0::detail {

namespace {

constexpr char kSeparator = '\x1f';

// SQS allows 128 characters; room for what gateways put in front.
constexpr std::size_t kMaxDedupBytes = 512;

void add(std::vector<Reason>& reasons, std::string code, std::string pointer, std::string message) {
  reasons.push_back({.code = std::move(code), .message = std::move(message), .pointer = std::move(pointer)});
}

std::string_view effective_ns(std::string_view ns, std::string_view account, const Flows& flows, std::vector<Reason>& reasons) {
  if (!flows.isolate_accounts) return ns;
  if (auto refused = account_refusal(ns, account)) {
    reasons.push_back(*std::move(refused));
    return ns;
  }
  return account;
}

void check_dedup(std::string_view dedup_id, std::vector<Reason>& reasons) {
  if (dedup_id.size() <= kMaxDedupBytes) return;
  add(reasons, "dedup_id_too_long", "/dedup_id", fmt::format("{} bytes, limit {}", dedup_id.size(), kMaxDedupBytes));
}

void check_version_mode(const SetRequest& request, const Flows& flows, std::vector<Reason>& reasons) {
  const auto mode = flows.effective(request.account, request.flow).versions.value_or(VersionMode::kAny);
  if (mode == VersionMode::kAssigned && request.version) {
    add(reasons, "version_not_allowed", "/version", "this flow's versions are assigned");
  } else if (mode == VersionMode::kCaller && !request.version) {
    add(reasons, "version_missing", "/version", "this flow's versions are the caller's");
  }
}

Result<void> run_validator(const Command& command, const Door& door, std::vector<Reason>& reasons) {
  const auto before = reasons.size();
  try {
    for (auto& reason : door.validator.validate(command)) reasons.push_back(std::move(reason));
    // What is no envelope, or no JSON, has no payload to check.
    if (reasons.size() == before) {
      for (auto& reason : door.flows.violations(command, door.limits.max_reasons)) reasons.push_back(std::move(reason));
    }
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kInternal, fmt::format("the validator threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "the validator threw").from(ErrorSource::kHost, 0, "unknown exception");
  }
  if (reasons.size() > door.limits.max_reasons) reasons.resize(door.limits.max_reasons);
  return {};
}

Command command_of(SetRequest&& request, std::string_view ns) {
  return {.kind = CommandKind::kSet,
          .ns = std::string(ns),
          .id = std::move(request.id),
          .keys = std::move(request.keys),
          .account = std::move(request.account),
          .flow = std::move(request.flow),
          .owner = std::move(request.owner),
          .payload = std::move(request.payload),
          .content_type = std::move(request.content_type),
          .attributes = std::move(request.attributes),
          .ttl = request.ttl,
          .version = request.version,
          .expected_version = request.expected_version};
}

// Everything but the body.
OutgoingMessage envelope_of(const Command& command, std::string group, std::string_view dedup_id, std::string&& traceparent, Door door) {
  OutgoingMessage message;
  message.group = std::move(group);
  // Two tenants may use the same deduplication id.
  if (!dedup_id.empty()) message.dedup_id = fmt::format("{}{}{}", command.ns, kSeparator, dedup_id);
  if (!traceparent.empty()) {
    if (!is_traceparent(traceparent)) traceparent = make_traceparent(door.random);
    message.attributes.emplace(kTraceparentAttribute, AttributeValue{AttributeValue::Type::kString, std::move(traceparent)});
  }
  return message;
}

Prepared finish(Command&& command, OutgoingMessage&& message, const Door& door) {
  message.body = encode_command(command);
  const auto series = door.labels.empty() ? 0 : door.labels.series_of(command.account, command.flow);
  return {.message = std::move(message), .kind = command.kind, .id = std::move(command.id), .version = command.version, .series = series};
}

}  // namespace

std::string group_of(std::string_view ns, std::string_view id) {
  std::string group;
  group.reserve(ns.size() + 1 + id.size());
  group.append(ns).push_back(kSeparator);
  return group.append(id);
}

Error refusal(std::vector<Reason> reasons) {
  const auto& first = reasons.front();
  auto text = reasons.size() == 1 ? first.message : fmt::format("{} (and {} more)", first.message, reasons.size() - 1);
  auto field = first.pointer;
  return Error(ErrorCode::kInvalidArgument, std::move(text)).at_field(std::move(field)).because(std::move(reasons));
}

Result<Prepared> prepare(SetRequest&& request, const Door& door) {
  std::vector<Reason> reasons;
  const std::string ns(effective_ns(request.ns, request.account, door.flows, reasons));
  check_version_mode(request, door.flows, reasons);
  check_dedup(request.dedup_id, reasons);
  const bool fresh = request.id.empty();
  auto dedup_id = std::move(request.dedup_id);
  auto traceparent = std::move(request.traceparent);
  auto command = command_of(std::move(request), ns);
  if (auto ran = run_validator(command, door, reasons); !ran) return std::move(ran).error();
  if (!reasons.empty()) return refusal(std::move(reasons));
  if (fresh) command.id = make_ulid(door.clock.now(), door.random);
  // Nothing else can be ordered with a fresh id: a group of its own would only cost.
  auto message = envelope_of(command, fresh ? std::string() : group_of(command.ns, command.id), dedup_id, std::move(traceparent), door);
  return finish(std::move(command), std::move(message), door);
}

Result<std::vector<Reason>> violations(const SetRequest& request, const Door& door) {
  std::vector<Reason> reasons;
  const std::string ns(effective_ns(request.ns, request.account, door.flows, reasons));
  check_version_mode(request, door.flows, reasons);
  check_dedup(request.dedup_id, reasons);
  if (auto ran = run_validator(command_of(SetRequest(request), ns), door, reasons); !ran) return std::move(ran).error();
  return reasons;
}

Result<Prepared> prepare(EraseRequest&& request, const Door& door) {
  std::vector<Reason> reasons;
  check_dedup(request.dedup_id, reasons);
  if (door.flows.isolate_accounts && request.ns.empty()) {
    add(reasons, "namespace_missing", "/namespace", "accounts are isolated: an erase names the account as its namespace");
  }
  const bool by_key = !request.key.empty();
  if (by_key == !request.id.empty()) add(reasons, "id_or_key", "", "an erase names either an id or a key");
  if (by_key && request.version) add(reasons, "version_not_allowed", "/version", "an erase by key has no version");
  Command command;
  command.kind = by_key ? CommandKind::kEraseKey : CommandKind::kErase;
  command.ns = std::move(request.ns);
  command.version = request.version;
  if (by_key) {
    command.keys = KeyList{request.key};
  } else {
    command.id = std::move(request.id);
  }
  if (auto ran = run_validator(command, door, reasons); !ran) return std::move(ran).error();
  if (!reasons.empty()) return refusal(std::move(reasons));
  auto group = by_key ? std::string() : group_of(command.ns, command.id);
  auto message = envelope_of(command, std::move(group), request.dedup_id, std::move(request.traceparent), door);
  return finish(std::move(command), std::move(message), door);
}

Result<Prepared> prepare(TouchRequest&& request, const Door& door) {
  std::vector<Reason> reasons;
  Command command;
  command.kind = CommandKind::kTouch;
  // A touch may leave its account out: then nothing but the namespace says whose record it is.
  command.ns = request.account.empty() ? request.ns : std::string(effective_ns(request.ns, request.account, door.flows, reasons));
  if (door.flows.isolate_accounts && command.ns.empty()) {
    add(reasons, "namespace_missing", "/namespace", "accounts are isolated: a touch names its account");
  }
  command.id = std::move(request.id);
  command.account = std::move(request.account);
  command.flow = std::move(request.flow);
  command.ttl = request.ttl;
  if (auto ran = run_validator(command, door, reasons); !ran) return std::move(ran).error();
  if (!reasons.empty()) return refusal(std::move(reasons));
  auto message = envelope_of(command, group_of(command.ns, command.id), {}, std::move(request.traceparent), door);
  return finish(std::move(command), std::move(message), door);
}

}  // namespace setget::inline v0::detail
