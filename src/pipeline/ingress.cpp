#include <fmt/format.h>

#include <array>

#include <setget/ingress.hpp>

#include "core/hlc.hpp"
#include "pipeline/flow_gate.hpp"
#include "pipeline/flow_labels.hpp"
#include "pipeline/ingress_prepare.hpp"
#include "pipeline/metric_names.hpp"

namespace setget::inline v0 {

using detail::Prepared;

namespace {

// As labels, by CommandKind.
constexpr std::array<std::string_view, 5> kKinds{"", "set", "erase", "erase_key", "touch"};

}  // namespace

Result<void> IngressOptions::validate() const {
  const auto missing = [](const char* field) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("ingress option {} is required", field)).at_field(field);
  };
  if (!queue) return missing("queue");
  if (!policy) return missing("policy");
  if (max_waiting == 0) return Error(ErrorCode::kInvalidArgument, "ingress option max_waiting must be > 0").at_field("max_waiting");
  if (auto valid = metric_labels.validate(); !valid) return valid;
  return limits.validate();
}

struct Ingress::State {
  explicit State(IngressOptions given)
      : options(std::move(given)),
        capabilities(options.queue.backend()->capabilities()),
        gate(options.max_waiting, options.max_waiting_bytes),
        labels(options.metric_labels) {}

  template <class Request>
  Result<Prepared> prepare(Request&& request) {
    const auto flows = options.policy->flows();
    return detail::prepare(std::forward<Request>(request),
                           {*flows, options.limits, *options.validator, *options.clock, *options.random, labels});
  }

  template <class Request>
  Result<Receipt> send_one(Request&& request, Deadline deadline) {
    auto prepared = prepare(std::forward<Request>(request));
    if (!prepared) return refuse(std::move(prepared).error());
    auto receipts = send(std::span(&*prepared, 1), deadline);
    if (!receipts) return std::move(receipts).error();
    return std::move(receipts->front());
  }

  // One queue send for all of them.
  Result<std::vector<Result<Receipt>>> send(std::span<Prepared> prepared, Deadline deadline) {
    std::size_t bytes = 0;
    for (const auto& one : prepared) bytes += one.message.body.size();
    auto ticket = gate.enter(prepared.size(), bytes, deadline, options.block_when_full);
    if (!ticket) return refuse(std::move(ticket).error());

    std::vector<OutgoingMessage> messages;
    messages.reserve(prepared.size());
    std::vector<Stamp> stamps;
    for (auto& one : prepared) {
      if (!capabilities.stamps) {
        stamps.push_back(hlc.next(options.clock->now()));
        one.message.attributes.insert_or_assign(std::string(detail::kStampAttribute),
                                                AttributeValue{AttributeValue::Type::kNumber, std::to_string(stamps.back())});
      }
      messages.push_back(std::move(one.message));
    }
    const auto started = Deadline::Steady::now();
    auto sent = options.queue.send(messages, deadline);
    options.metrics->observe(detail::metric::kIngressSeconds, std::chrono::duration<double>(Deadline::Steady::now() - started).count(), {});
    if (!sent) return refuse(std::move(sent).error());

    std::vector<Result<Receipt>> receipts;
    receipts.reserve(prepared.size());
    std::array<std::size_t, kKinds.size()> accepted{};
    detail::FlowTally tally;
    for (std::size_t i = 0; i < prepared.size(); ++i) {
      auto& one = (*sent)[i];
      if (!one) {
        receipts.emplace_back(refuse(std::move(one).error()));
        continue;
      }
      if (!capabilities.stamps && !one->deduplicated) one->stamp = stamps[i];
      const auto kind = static_cast<std::size_t>(prepared[i].kind);
      ++accepted[kind];
      if (!labels.empty()) tally.hit(prepared[i].series, kind);
      receipts.emplace_back(receipt_of(prepared[i], std::move(*one), deadline));
    }
    count(accepted, tally);
    return receipts;
  }

  Receipt receipt_of(Prepared& prepared, SentMessage&& sent, Deadline deadline) {
    Receipt receipt{.message_id = std::move(sent.message_id), .id = std::move(prepared.id), .deduplicated = sent.deduplicated};
    const bool versioned = prepared.kind == CommandKind::kSet || prepared.kind == CommandKind::kErase;
    if (versioned) receipt.version = prepared.version.value_or(sent.stamp);
    if (sent.deduplicated) {
      options.metrics->add(detail::metric::kDeduplicated, 1, {});
      recall(receipt, sent.stamp, deadline);
    }
    return receipt;
  }

  // A deduplicated request speaks of the earlier message: its id and version, not those of this one. Where the store no longer has that
  // message's body, only what the caller named himself is known.
  void recall(Receipt& receipt, Stamp stamp, Deadline deadline) {
    auto earlier = options.queue.backend()->find({.message_id = receipt.message_id, .deadline = deadline});
    auto command = earlier && earlier->body ? decode_command(*earlier->body) : Result<Command>(Command{});
    if (!earlier || !earlier->body || !command) {
      receipt.id.clear();
      return;
    }
    receipt.id = std::move(command->id);
    receipt.version = command->version.value_or(stamp);
    if (command->kind == CommandKind::kEraseKey || command->kind == CommandKind::kTouch) receipt.version = 0;
  }

  Error refuse(Error error) {
    options.metrics->add(detail::metric::kRefused, 1, {{"code", to_string(error.code())}});
    return error;
  }

  void count(const std::array<std::size_t, kKinds.size()>& accepted, detail::FlowTally& tally) {
    if (labels.empty()) {
      for (std::size_t kind = 1; kind < accepted.size(); ++kind) {
        if (accepted[kind] > 0)
          options.metrics->add(detail::metric::kAccepted, static_cast<double>(accepted[kind]), {{"kind", kKinds[kind]}});
      }
    } else {
      tally.publish(labels, *options.metrics, detail::metric::kAccepted, "kind", [](std::size_t kind) { return kKinds[kind]; });
    }
    const auto load = gate.load();
    options.metrics->set(detail::metric::kIngressWaiting, static_cast<double>(load.count), {});
    options.metrics->set(detail::metric::kIngressWaitingBytes, static_cast<double>(load.bytes), {});
  }

  IngressOptions options;
  const QueueCapabilities capabilities;
  detail::FlowGate gate;
  const detail::FlowLabels labels;
  detail::HybridLogicalClock hlc;
};

Ingress::Ingress(std::unique_ptr<State> state) : state_(std::move(state)) {}
Ingress::~Ingress() = default;

Result<std::unique_ptr<Ingress>> Ingress::create(IngressOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  if (!options.validator) options.validator = envelope_validator(options.limits);
  if (!options.clock) options.clock = system_clock();
  if (!options.random) options.random = system_random();
  if (!options.logger) options.logger = no_logger();
  if (!options.metrics) options.metrics = no_metrics();
  return std::unique_ptr<Ingress>(new Ingress(std::make_unique<State>(std::move(options))));
}

Result<Receipt> Ingress::set(SetRequest request, Deadline deadline) { return state_->send_one(std::move(request), deadline); }
Result<Receipt> Ingress::erase(EraseRequest request, Deadline deadline) { return state_->send_one(std::move(request), deadline); }
Result<Receipt> Ingress::touch(TouchRequest request, Deadline deadline) { return state_->send_one(std::move(request), deadline); }

Result<std::vector<Result<Receipt>>> Ingress::set_all(std::vector<SetRequest> requests, Deadline deadline) {
  std::vector<Result<Receipt>> results;
  results.reserve(requests.size());
  std::vector<Prepared> good;
  good.reserve(requests.size());
  std::vector<std::size_t> places;
  for (auto& request : requests) {
    auto prepared = state_->prepare(std::move(request));
    if (prepared) {
      places.push_back(results.size());
      good.push_back(std::move(*prepared));
      results.emplace_back(Receipt{});
    } else {
      results.emplace_back(state_->refuse(std::move(prepared).error()));
    }
  }
  if (good.empty()) return results;
  auto sent = state_->send(good, deadline);
  if (!sent) return std::move(sent).error();
  for (std::size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move((*sent)[i]);
  return results;
}

std::vector<Reason> Ingress::check(const SetRequest& request) const {
  const auto& options = state_->options;
  const auto flows = options.policy->flows();
  auto found = detail::violations(request, {*flows, options.limits, *options.validator, *options.clock, *options.random, state_->labels});
  if (found) return std::move(*found);
  return {{.code = std::string(to_string(found.error().code())), .message = found.error().message(), .pointer = {}}};
}

void Ingress::close() noexcept { state_->gate.close(); }

}  // namespace setget::inline v0
