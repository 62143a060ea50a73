#include "pipeline/worker_decision.hpp"

#include <fmt/format.h>

#include <charconv>

#include "core/hlc.hpp"
#include "pipeline/flow_schema.hpp"
#include "pipeline/ingress_prepare.hpp"

namespace setget::inline v0::detail {

namespace {

Decision dead(std::vector<Reason> reasons) { return {.verdict = Verdict::kDeadLetter, .entry = {}, .reasons = std::move(reasons)}; }

Decision dead(std::string code, std::string text) { return dead({{.code = std::move(code), .message = std::move(text), .pointer = {}}}); }

Decision retry(Reason reason, bool to_blame) {
  return {.verdict = Verdict::kRetry, .entry = {}, .reasons = {std::move(reason)}, .to_blame = to_blame};
}

// The queue's stamp, or the one that the door put into an attribute where the queue gives none.
Result<Stamp> stamp_of(const Message& message, TimePoint now) {
  if (message.stamp != 0) return message.stamp;
  const auto found = message.attributes.find(kStampAttribute);
  if (found == message.attributes.end()) return Error(ErrorCode::kCorrupted, "the message has no stamp");
  const auto& text = found->second.data;
  Stamp stamp = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), stamp);
  if (problem != std::errc() || end != text.data() + text.size() || stamp == 0 || stamp > kMaxVersion) {
    return Error(ErrorCode::kCorrupted, "the message's stamp is not a number in [1, 2^53-1]");
  }
  if (time_of(stamp) > now + kHlcSkewBound) {
    return Error(ErrorCode::kCorrupted,
                 fmt::format("the message's stamp is more than {} ms ahead: its sender's clock is wrong", kHlcSkewBound.count()));
  }
  return stamp;
}

Result<Command> run_transform(const Transform& transform, Command command, const Message& message) {
  try {
    return transform(std::move(command), message);
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kInternal, fmt::format("the transform threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "the transform threw").from(ErrorSource::kHost, 0, "unknown exception");
  }
}

Result<std::vector<Reason>> run_validator(const Validator& validator, const Command& command) {
  try {
    return validator.validate(command);
  } catch (const std::exception& thrown) {
    return Error(ErrorCode::kInternal, fmt::format("the validator threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
  } catch (...) {
    return Error(ErrorCode::kInternal, "the validator threw").from(ErrorSource::kHost, 0, "unknown exception");
  }
}

// The reasons that a host's error brings, else the error itself.
std::vector<Reason> reasons_of(const Error& error, std::string_view code) {
  return error.reasons().empty() ? std::vector<Reason>{reason_of(error, code)} : error.reasons();
}

}  // namespace

void FlowMemory::look(const std::string& account, const std::string& flow) {
  if (known_ && account == account_ && flow == flow_) return;
  const auto options = flows_->effective(account, flow);
  listed_ = options.index.value_or(false);
  history_ = options.history.value_or(false);
  schema_ = flows_->schema_of(account, flow);
  account_ = account;
  flow_ = flow;
  known_ = true;
}

Reason reason_of(const Error& error, std::string_view code) {
  return {.code = std::string(code), .message = error.describe(), .pointer = error.field()};
}

Decision decide(const Message& message, const DecisionContext& context, FlowMemory& memory) {
  const auto stamp = stamp_of(message, context.now);
  if (!stamp) return dead("invalid_stamp", stamp.error().message());
  auto decoded = decode_command(message.body);
  if (!decoded) {
    // Written by a newer version: a newer worker of the fleet can read it.
    // Formats are small numbers; a first byte from the printable range is somebody else's text.
    const bool newer = decoded.error().code() == ErrorCode::kUnsupported && static_cast<unsigned char>(message.body.view().front()) < 0x20;
    if (newer) return retry(reason_of(decoded.error(), "unsupported_format"), true);
    return dead({reason_of(decoded.error(), "corrupted")});
  }

  Decision decision;
  auto& entry = decision.entry;
  entry.stamp = *stamp;
  if (context.transform) {
    const auto kind = decoded->kind;
    const auto ns = decoded->ns;
    const auto id = decoded->id;
    const auto version = decoded->version;
    auto transformed = run_transform(context.transform, std::move(*decoded), message);
    if (!transformed) {
      const auto& error = transformed.error();
      if (error.code() == ErrorCode::kCancelled) return retry(reason_of(error, "transform_failed"), false);
      if (error.retryable()) return retry(reason_of(error, "transform_failed"), true);
      return dead(reasons_of(error, "transform_failed"));
    }
    if (transformed->kind != kind || transformed->ns != ns || transformed->id != id || transformed->version != version) {
      return dead("transform_changed_identity", "a transform may not change kind, namespace, id or version");
    }
    entry.command = std::move(*transformed);
    entry.encoded = encode_command(entry.command);
  } else {
    entry.command = std::move(*decoded);
    entry.encoded = message.body;
  }

  auto violations = run_validator(context.validator, entry.command);
  if (!violations) return dead({reason_of(violations.error(), "validator_failed")});
  if (!violations->empty()) return dead(std::move(*violations));

  const auto& command = entry.command;
  // The door gives every set an id; "" is nobody's.
  if (command.kind == CommandKind::kSet && command.id.empty()) return dead("id_missing", "a set in the queue must have an id");
  if (command.kind == CommandKind::kSet) {
    auto broken = schema_violations(memory.schema(command.account, command.flow), command, context.max_reasons);
    if (!broken.empty()) return dead(std::move(broken));
  }
  if (command.kind == CommandKind::kSet || command.kind == CommandKind::kTouch) {
    const auto life = context.policy.resolve(command.account, command.flow, command.ttl);
    entry.expires_at = TtlPolicy::expires_at(time_of(entry.stamp), life.ttl);
    entry.ttl_rule = life.rule;
    if (command.kind == CommandKind::kSet) {
      entry.listed = memory.listed(command.account, command.flow);
      entry.history = memory.history(command.account, command.flow);
    }
  }
  return decision;
}

Decision judge(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kTooLarge:
    case ErrorCode::kUnsupported:
      return dead(reasons_of(error, to_string(error.code())));
    // The store is away or full: that says nothing about the message.
    case ErrorCode::kUnavailable:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kOutOfSpace:
    case ErrorCode::kCancelled:
      return retry(reason_of(error, to_string(error.code())), false);
    // A deadline may be the message's doing, if the store is there; damage and bugs may be, too. They are counted, and end as dead letters.
    default:
      return retry(reason_of(error, to_string(error.code())), true);
  }
}

Settlement settlement_of(std::string receipt, ApplyResult&& result) {
  Settlement settlement;
  settlement.receipt = std::move(receipt);
  settlement.reasons = std::move(result.reasons);
  if (result.outcome == Outcome::kDeadLettered) {
    settlement.action = SettleAction::kDeadLetter;
  } else {
    settlement.action = SettleAction::kAck;
    settlement.outcome = result.outcome;
  }
  return settlement;
}

}  // namespace setget::inline v0::detail
