// Whether a failed command is tried again, and how. Pure. The one rule: only what was surely not carried out, or is marked idempotent.
// Thread rule: values.
#pragma once

#include <cstdint>

#include "redis/breaker.hpp"
#include "redis/errors.hpp"

namespace setget::inline v0::redis {

enum class Next : std::uint8_t {
  kGiveUp,  // the error is the answer
  kAtOnce,  // the way has been learned, or the connection will be another one
  kLater,   // the server or the cluster needs a moment
  kAsk,     // at the node that ASK names, behind ASKING
};

struct Retry {
  Next next = Next::kGiveUp;
  Milliseconds wait{0};
};

// `attempt` counts from 0. `routed`: there is a topology to learn (sentinel, cluster), so that another server may answer next time.
inline Retry retry_after(const Error& error, bool idempotent, bool routed, unsigned attempt, std::uint64_t random) noexcept {
  constexpr unsigned kMostRedirects = 8;
  constexpr unsigned kMostWaits = 7;  // 10, 20, 40 … 640 ms: a second and a quarter in all
  const auto later = [&] {
    return attempt < kMostWaits ? Retry{Next::kLater, backoff(Milliseconds(10), Milliseconds(640), attempt, random)} : Retry{};
  };
  switch (trouble_of(error)) {
    case Trouble::kMoved:
      return attempt < kMostRedirects ? Retry{attempt < 3 ? Next::kAtOnce : Next::kLater, Milliseconds(attempt < 3 ? 0 : 20)} : Retry{};
    case Trouble::kAsk:
      return attempt < kMostRedirects ? Retry{Next::kAsk, {}} : Retry{};
    case Trouble::kTryAgain:
    case Trouble::kClusterDown:
    case Trouble::kLoading:
    case Trouble::kMasterDown:
      return later();
    case Trouble::kReadOnly:
    case Trouble::kDown:
      return routed ? later() : Retry{};
    case Trouble::kNotSent:
      if (error.code() != ErrorCode::kUnavailable) return {};
      return attempt == 0 ? Retry{Next::kAtOnce, {}} : later();
    case Trouble::kMaybeExecuted:
      if (error.code() != ErrorCode::kUnavailable || !idempotent) return {};
      return attempt == 0 ? Retry{Next::kAtOnce, {}} : later();
    default:
      return {};
  }
}

}  // namespace setget::inline v0::redis
