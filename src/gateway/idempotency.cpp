// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): the same key and request give the same answer for 24 hours.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "gateway/core.hpp"
#include "gateway/media_type.hpp"
#include "gateway/problem.hpp"

namespace setget::inline v0::detail {
namespace {

constexpr std::size_t kMaxKeyBytes = 255;
constexpr std::chrono::hours kRemembered{24};
// A process that dies in between must not block its key for a day: an unfinished entry lives only a little longer than a call may take.
constexpr Milliseconds kGrace{10'000};
// How long it is known of a try that nobody knows how it ended: as long as queues deduplicate by default, and more.
constexpr std::chrono::minutes kUnsure{10};
constexpr char kFormat = '\x01';

// The draft writes the key as a structured-field string, most clients send it bare: both name the same key.
Result<std::string> read_key(std::string_view header) {
  std::string_view key = trim(header);
  if (key.size() >= 2 && key.front() == '"' && key.back() == '"') key = key.substr(1, key.size() - 2);
  const bool printable = std::ranges::all_of(key, [](char c) { return c >= 0x20 && c <= 0x7E; });
  if (key.empty() || key.size() > kMaxKeyBytes || !printable)
    return invalid({{"invalid_idempotency_key",
                     fmt::format("Idempotency-Key is 1 to {} printable ASCII bytes, this has {}", kMaxKeyBytes, key.size()), ""}});
  return std::string(key);
}

Digest digest_of_request(const GatewayRequest& request, const std::optional<Digest>& record) {
  const Digest body = digest_of(request.body.view());
  std::string said = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.target, request.header("Content-Type"),
                                 condition_of(request, "If-Match"), condition_of(request, "If-None-Match"), body.high, body.low);
  if (record) said += fmt::format("\n{}\n{}", record->high, record->low);
  return digest_of(said);
}

std::string encode_response(const GatewayResponse& response) {
  std::string out(1, kFormat);
  for (const auto& [name, value] : response.headers) out += fmt::format("{}: {}\n", name, value);
  out += '\n';
  out += response.body.view();
  return out;
}

Result<GatewayResponse> decode_response(const IdempotencyStore::Entry& entry) {
  const Error damaged(ErrorCode::kCorrupted, "the remembered answer of this Idempotency-Key cannot be read");
  std::string_view rest = entry.response;
  if (rest.empty() || rest.front() != kFormat) return damaged;
  rest.remove_prefix(1);
  GatewayResponse response{entry.status, {}, {}};
  while (!rest.empty() && rest.front() != '\n') {
    const std::size_t end = rest.find('\n');
    const std::size_t colon = rest.substr(0, end).find(": ");
    if (end == std::string_view::npos || colon == std::string_view::npos) return damaged;
    response.headers.emplace_back(rest.substr(0, colon), rest.substr(colon + 2, end - colon - 2));
    rest.remove_prefix(end + 1);
  }
  if (rest.empty()) return damaged;
  response.body = Payload::copy(rest.substr(1));
  response.headers.emplace_back("Idempotency-Replayed", "true");
  return response;
}

// Of a try without an answer: until when somebody is at work on it.
void set_busy(IdempotencyStore::Entry& entry, TimePoint until) {
  entry.response = fmt::format("{}", until.time_since_epoch().count());
  entry.expires_at = until + kUnsure;
}
TimePoint busy_until(const IdempotencyStore::Entry& entry) {
  std::int64_t until = 0;
  const char* end = entry.response.data() + entry.response.size();
  const auto [stop, error] = std::from_chars(entry.response.data(), end, until);
  return error == std::errc() && stop == end ? TimePoint(Milliseconds(until)) : entry.expires_at;
}

}  // namespace

GatewayResponse GatewayCore::idempotent(const Call& call, std::string_view route, const Tell& tell, const Once& once) {
  const std::string_view header = call.request.header("Idempotency-Key");
  const bool given =
      std::ranges::any_of(call.request.headers, [](const auto& h) { return equals_ignoring_case(h.first, "Idempotency-Key"); });
  if (!given) return once({}).response;
  auto key = read_key(header);
  if (!key) return problem_of(key.error());
  const Meaning meaning = tell();
  // The names before the key have no such separator in them, so that no key of one scope reads as one of another.
  const std::string scoped = fmt::format("{}{}\x1f{}\x1f{}", kFormat, meaning.ns, route, *key);
  const Digest digest = digest_of_request(call.request, meaning.record);
  IdempotencyStore::Entry entry{digest, 0, {}, {}};
  set_busy(entry, now() + 2 * options_.set_deadline + kGrace);  // a look at what is there, and a call
  bool repeats = false;
  auto earlier = options_.idempotency->begin(scoped, entry, now());
  if (!earlier) return problem_of(earlier.error());
  if (earlier->has_value()) {
    const IdempotencyStore::Entry& known = **earlier;
    if (known.request != entry.request)
      return problem_of(invalid({{"idempotency_key_reused", "this Idempotency-Key came with another request before", ""}}));
    if (known.status == 0 && now() < busy_until(known)) return refusal(409, "a request with this Idempotency-Key is being handled");
    if (known.status != 0) {
      auto response = decode_response(known);
      return response ? *std::move(response) : problem_of(response.error());
    }
    // Others that come now are told to wait. Two that come at once are one for the queue.
    repeats = true;
    if (auto busy = options_.idempotency->finish(scoped, entry); !busy) return problem_of(busy.error());
  }

  // Should the answer be lost although the queue has the message, a retry finds it there by this id.
  const Digest scope = digest_of(scoped);
  const std::string dedup =
      fmt::format("idempotency/{:016x}{:016x}/{:016x}{:016x}", scope.high, scope.low, entry.request.high, entry.request.low);
  const auto unsure = [&] {
    set_busy(entry, now());
    static_cast<void>(options_.idempotency->finish(scoped, entry));
  };
  Attempt attempt = [&] {
    try {
      return once({.dedup = dedup, .repeats = repeats});
    } catch (...) {
      unsure();
      throw;
    }
  }();
  if (!attempt.holds) {
    if (attempt.response.status >= 500 || (repeats && attempt.response.status == 429)) {
      // The queue may have it all the same, or have had it before.
      unsure();
    } else {
      // It was refused, or not all of it was accepted: the client may correct it or try again with the same key.
      static_cast<void>(options_.idempotency->abandon(scoped));
    }
    return std::move(attempt.response);
  }
  entry.status = attempt.response.status;
  entry.response = encode_response(attempt.response);
  entry.expires_at = now() + kRemembered;
  // The message is accepted: a failure to remember that must not turn the answer into an error.
  static_cast<void>(options_.idempotency->finish(scoped, entry));
  return std::move(attempt.response);
}

}  // namespace setget::inline v0::detail
