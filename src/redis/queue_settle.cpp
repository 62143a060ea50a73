// Settling: one script for each part that the receipts name. Settlements that differ in their message only are sent as one group.
#include <fmt/format.h>

#include <algorithm>

#include "redis/queue_backend.hpp"
#include "redis/queue_checks.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

constexpr std::size_t kMostMessages = 1000;  // of one script

Error lease_lost() { return Error(ErrorCode::kLeaseLost, "the receipt no longer holds its message"); }

Result<void> check(const Settlement& settlement) {
  if (settlement.action == SettleAction::kAck) {
    switch (settlement.outcome) {
      case Outcome::kApplied:
      case Outcome::kDuplicate:
      case Outcome::kStale:
      case Outcome::kExpired:
        return {};
      default:
        return Error(ErrorCode::kInvalidArgument, fmt::format("an ack cannot have the outcome {}", to_string(settlement.outcome)))
            .at_field("outcome");
    }
  }
  const bool timed = settlement.action == SettleAction::kRelease || settlement.action == SettleAction::kExtend;
  return timed ? check_length("delay", settlement.delay, Milliseconds(0)) : Result<void>();
}

std::string_view letter_of(SettleAction action) {
  switch (action) {
    case SettleAction::kAck:
      return "a";
    case SettleAction::kRelease:
      return "r";
    case SettleAction::kExtend:
      return "x";
    default:
      return "k";
  }
}

// What one part is to do: settlements in the order given.
struct Work {
  std::uint32_t part = 0;
  std::vector<std::size_t> which;
};

bool alike(const Settlement& a, const Settlement& b) {
  return a.action == b.action && a.outcome == b.outcome && a.delay == b.delay && a.uncounted == b.uncounted && a.reasons == b.reasons;
}

struct Run {
  std::uint64_t first = 0;
  std::uint64_t more = 0;  // that follow it
};

std::vector<Run> runs_of(std::span<const Receipt> receipts, std::span<const std::size_t> which) {
  std::vector<Run> runs;
  for (const auto i : which) {
    const auto number = receipts[i].number;
    if (!runs.empty() && runs.back().first + runs.back().more + 1 == number) {
      ++runs.back().more;
    } else {
      runs.push_back({number, 0});
    }
  }
  return runs;
}

void add_groups(Script::Call& call, std::span<const Settlement> settlements, std::span<const Receipt> receipts,
                std::span<const std::size_t> which) {
  for (std::size_t at = 0; at < which.size();) {
    const auto& one = settlements[which[at]];
    const auto token = receipts[which[at]].token;
    auto end = at + 1;
    while (end < which.size() && receipts[which[end]].token == token && alike(settlements[which[end]], one)) ++end;
    call.arg(letter_of(one.action)).arg(token);
    call.arg(one.action == SettleAction::kAck ? static_cast<std::int64_t>(one.outcome) : one.delay.count());
    const auto runs = runs_of(receipts, which.subspan(at, end - at));
    call.arg(one.uncounted ? "1" : "0").arg(encode_reasons(one.reasons)).arg(static_cast<std::int64_t>(runs.size()));
    for (const auto& [first, more] : runs) call.arg(more == 0 ? std::to_string(first) : fmt::format("{}+{}", first, more));
    at = end;
  }
}

}  // namespace

Result<std::vector<Result<void>>> RedisQueues::settle(const SettleMessages& request) {
  return with_queue(request.queue, request.deadline, [&](const QueuePtr& queue) -> Result<std::vector<Result<void>>> {
    const auto settlements = request.settlements;
    std::vector<Result<void>> results(settlements.size(), Result<void>());
    std::vector<Receipt> receipts(settlements.size());
    std::vector<std::vector<std::size_t>> waiting(queue->parts());
    for (std::size_t i = 0; i < settlements.size(); ++i) {
      if (auto valid = check(settlements[i]); !valid) {
        results[i] = std::move(valid);
        continue;
      }
      const auto receipt = parse_receipt(settlements[i].receipt);
      if (!receipt || receipt->queue != queue->name() || receipt->part >= queue->parts()) {
        results[i] = lease_lost();
        continue;
      }
      receipts[i] = *receipt;
      waiting[receipt->part].push_back(i);
    }
    LaneUse lane(*this);
    const auto at_time = now();
    bool any = false;
    bool answered = false;
    std::optional<Error> failed;
    for (std::size_t from = 0;; from += kMostMessages) {
      std::vector<Work> round;
      for (std::uint32_t part = 0; part < queue->parts(); ++part) {
        const auto& its = waiting[part];
        if (from >= its.size()) continue;
        const auto first = its.begin() + static_cast<std::ptrdiff_t>(from);
        round.push_back({.part = part, .which = {first, first + static_cast<std::ptrdiff_t>(std::min(kMostMessages, its.size() - from))}});
      }
      if (round.empty()) break;
      any = true;
      ++lane->number;
      auto answers = run_surely(
          queue, round.size(),
          [&](std::size_t i, bool) {
            auto call = on_part(queue_scripts::settle(), *queue, round[i].part);
            call.arg(at_time).arg(lane->id).arg(static_cast<std::int64_t>(lane->number));
            add_groups(call, settlements, receipts, round[i].which);
            return call;
          },
          request.deadline);
      for (std::size_t i = 0; i < round.size(); ++i) {
        const auto codes = answers[i] && answers[i]->elements().size() == 2 ? answers[i]->elements()[1].text() : std::string_view();
        if (answers[i] && codes.size() != round[i].which.size()) {
          answers[i] = Error(ErrorCode::kCorrupted, "not the answer of this script").from(ErrorSource::kRedis, 0, {});
        }
        if (!answers[i]) failed = answers[i].error();
        answered = answered || answers[i];
        for (std::size_t k = 0; k < round[i].which.size(); ++k) {
          auto& result = results[round[i].which[k]];
          if (!answers[i]) {
            result = answers[i].error();
          } else if (codes[k] != '1') {
            result = lease_lost();
          }
        }
      }
    }
    queue->bell->ring();
    if (any && !answered && failed) return *std::move(failed);
    return results;
  });
}

}  // namespace setget::inline v0::redis
