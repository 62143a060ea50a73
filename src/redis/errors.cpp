#include "redis/errors.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "redis/slots.hpp"

namespace setget::inline v0::redis {
namespace {

struct Meaning {
  std::string_view start;  // of the server's text; the longer of two that fit comes first
  Trouble trouble;
  ErrorCode code;
  std::string_view advice;
};

// The one place that decides what is worth a retry: Error::retryable() follows from the code.
constexpr std::array kMeanings{
    Meaning{"MOVED ", Trouble::kMoved, ErrorCode::kUnavailable, "the slot belongs to another node; the slot map is being read again"},
    Meaning{"ASK ", Trouble::kAsk, ErrorCode::kUnavailable, "the slot is being moved to another node"},
    Meaning{"TRYAGAIN", Trouble::kTryAgain, ErrorCode::kUnavailable,
            "the keys of one command are on two nodes while their slot is being moved; try again"},
    Meaning{"CROSSSLOT", Trouble::kCrossSlot, ErrorCode::kInvalidArgument,
            "the keys of one command must share a hash slot; use a hash tag"},
    Meaning{"CLUSTERDOWN", Trouble::kClusterDown, ErrorCode::kUnavailable,
            "the cluster does not serve this slot; see `redis-cli --cluster check`: a master is missing or slots are not assigned"},
    Meaning{"MASTERDOWN", Trouble::kMasterDown, ErrorCode::kUnavailable,
            "a replica has lost its master and may not serve old data (replica-serve-stale-data no); wait for the failover"},
    Meaning{"LOADING", Trouble::kLoading, ErrorCode::kUnavailable,
            "the server is reading its data from disk; try again when it has finished"},
    Meaning{"BUSYKEY", Trouble::kBusyKey, ErrorCode::kAlreadyExists, "the target key exists already"},
    Meaning{"BUSYGROUP", Trouble::kBusyGroup, ErrorCode::kAlreadyExists, "the consumer group exists already"},
    Meaning{"NOGROUP", Trouble::kNoGroup, ErrorCode::kFailedPrecondition,
            "the stream or its consumer group does not exist; was the server flushed?"},
    Meaning{"BUSY", Trouble::kBusy, ErrorCode::kUnavailable,
            "a script has been running too long and blocks the server; see SLOWLOG, end it with SCRIPT KILL or FUNCTION KILL"},
    Meaning{"READONLY", Trouble::kReadOnly, ErrorCode::kUnavailable,
            "this server is a replica and takes no writes; after a failover the new master must be found"},
    Meaning{"NOREPLICAS", Trouble::kNoReplicas, ErrorCode::kUnavailable,
            "the master has fewer good replicas than min-replicas-to-write; bring replicas back or lower it"},
    Meaning{"NOSCRIPT", Trouble::kNoScript, ErrorCode::kFailedPrecondition,
            "the server does not know the script (restart, failover or SCRIPT FLUSH); send it again with EVAL or SCRIPT LOAD"},
    Meaning{"OOM", Trouble::kOutOfMemory, ErrorCode::kOutOfSpace,
            "the server is at maxmemory and may evict nothing (maxmemory-policy noeviction); raise maxmemory or delete data"},
    Meaning{"MISCONF", Trouble::kMisconfigured, ErrorCode::kOutOfSpace,
            "the server cannot save to disk and therefore refuses writes; look at its log, its disk and the rights of its folder"},
    Meaning{"WRONGTYPE", Trouble::kWrongType, ErrorCode::kFailedPrecondition,
            "a key holds another type than expected; does another program write under this prefix?"},
    Meaning{"NOAUTH", Trouble::kNoAuth, ErrorCode::kFailedPrecondition, "the server wants a password; put user:password@ into the URI"},
    Meaning{"WRONGPASS", Trouble::kWrongPassword, ErrorCode::kFailedPrecondition,
            "the server refuses user or password; check the URI and ACL LIST"},
    Meaning{"ERR Client sent AUTH, but no password is set", Trouble::kWrongPassword, ErrorCode::kFailedPrecondition,
            "the server has no password; take it out of the URI, or check that this is the right server"},
    Meaning{"ERR AUTH <password> called without any password", Trouble::kWrongPassword, ErrorCode::kFailedPrecondition,
            "the server has no password; take it out of the URI, or check that this is the right server"},
    Meaning{"NOPERM", Trouble::kNoPermission, ErrorCode::kFailedPrecondition,
            "the user may not do this; extend its rights with ACL SETUSER"},
    Meaning{
        "ERR The user executing the script can't", Trouble::kNoPermission, ErrorCode::kFailedPrecondition,
        "the user may run the script but not all that it does; `setget doctor` says what is missing: extend its rights with ACL SETUSER"},
    Meaning{"EXECABORT", Trouble::kExecAborted, ErrorCode::kFailedPrecondition,
            "the transaction was discarded because one of its commands was refused"},
    Meaning{"UNBLOCKED", Trouble::kUnblocked, ErrorCode::kUnavailable,
            "the server ended a blocking command; it was reconfigured or lost the key"},
    Meaning{"ERR DB index is out of range", Trouble::kNoDatabase, ErrorCode::kInvalidArgument,
            "the server has no database of this number; correct it in the URI, or raise `databases` in the server's configuration"},
    Meaning{"ERR SELECT is not allowed in cluster mode", Trouble::kNoDatabase, ErrorCode::kInvalidArgument,
            "a cluster has no database but 0; take the number out of the URI"},
    Meaning{"ERR max number of clients", Trouble::kTooManyClients, ErrorCode::kUnavailable,
            "the server has no connection left; raise maxclients or use a smaller pool"},
    Meaning{"ERR unknown command", Trouble::kUnknownCommand, ErrorCode::kUnsupported,
            "the server does not know this command; which version is it?"},
};

// What a command of a script was refused with. Before Redis 7 that is wrapped: "ERR Error running script (call to f_…): @user_script:3:
// WRONGTYPE …", sometimes with the place twice and a '-' before the word.
std::string_view without_wrapping(std::string_view text) {
  if (!text.starts_with("ERR Error running script")) return text;
  constexpr std::string_view kPlace = "@user_script:";
  const auto place = text.rfind(kPlace);
  if (place == std::string_view::npos) return text;
  auto inner = text.substr(place + kPlace.size());
  inner.remove_prefix(std::min(inner.find_first_not_of(" 0123456789"), inner.size()));
  if (!inner.starts_with(": ")) return text;
  inner.remove_prefix(2);
  if (inner.starts_with('-')) inner.remove_prefix(1);
  return inner;
}

}  // namespace

Trouble trouble_of(const Error& error) noexcept {
  return error.source() == ErrorSource::kRedis ? static_cast<Trouble>(error.native_code()) : Trouble::kNone;
}

bool maybe_executed(const Error& error) noexcept {
  switch (trouble_of(error)) {
    case Trouble::kNone:
    case Trouble::kMaybeExecuted:
    case Trouble::kProtocol:
    case Trouble::kNotReplicated:
    case Trouble::kOtherMaster:
    case Trouble::kUnblocked:
    case Trouble::kOther:  // a script may have failed half-way
      return true;
    default:
      return false;
  }
}

Error server_error(std::string_view text) {
  const auto refusal = without_wrapping(text);
  for (const auto& meaning : kMeanings) {
    if (refusal.starts_with(meaning.start))
      return Error(meaning.code, std::string(meaning.advice))
          .from(ErrorSource::kRedis, static_cast<int>(meaning.trouble), std::string(text));
  }
  return Error(ErrorCode::kInternal, "the server refused the command")
      .from(ErrorSource::kRedis, static_cast<int>(Trouble::kOther), std::string(text));
}

Error connection_error(ErrorCode code, Trouble trouble, std::string message, std::string native) {
  return Error(code, std::move(message)).from(ErrorSource::kRedis, static_cast<int>(trouble), std::move(native));
}

std::optional<Redirect> redirect_of(const Error& error) {
  const auto trouble = trouble_of(error);
  if (trouble != Trouble::kMoved && trouble != Trouble::kAsk) return std::nullopt;
  // "MOVED 3999 127.0.0.1:6381", "ASK 3999 ::1:6381"; since Redis 7 also "MOVED 3999 :6381" for the same host.
  std::string_view text = error.native_text();
  text.remove_prefix(text.find(' ') + 1);
  Redirect redirect;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), redirect.slot);
  if (failed != std::errc{} || redirect.slot >= kSlots || end == text.data() + text.size() || *end != ' ') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = text.substr(colon + 1);
  const auto [stop, wrong] = std::from_chars(port.data(), port.data() + port.size(), redirect.to.port);
  if (wrong != std::errc{} || stop == port.data() || redirect.to.port == 0) return std::nullopt;
  redirect.to.host = text.substr(0, colon);
  return redirect;
}

}  // namespace setget::inline v0::redis
