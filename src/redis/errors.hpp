// What a Redis server's error reply means here: one ErrorCode, one sentence that says what to do, decided in one table. And what is known
// about a call whose connection broke: whether the server may have carried it out. Every Error of this folder has source kRedis; its
// native_code is a Trouble, its native_text the server's own words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "redis/uri.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::redis {

enum class Trouble : int {
  kNone = 0,
  // Of the connection.
  kNotSent = 1,        // nothing of it reached the server: safe to send again
  kMaybeExecuted = 2,  // the command was written, the reply did not come
  kRefused = 3,        // by the SDK, before anything was sent (limits, bad arguments, closed)
  kProtocol = 4,       // the server sent what is not RESP, or over a limit
  kDown = 5,           // the server could not be reached, or is known to be down: nothing was sent
  kNotReplicated = 6,  // carried out, but too few replicas had it in time
  kOtherMaster = 7,    // carried out, but perhaps by a server that is not the master any more
  kOtherQueue = 8,     // not carried out: the queue was changed, or made anew, since this process looked
  // Answers of the server: the command was not carried out.
  kMoved = 10,
  kAsk,
  kTryAgain,
  kCrossSlot,
  kClusterDown,
  kMasterDown,
  kLoading,
  kBusy,
  kReadOnly,
  kNoReplicas,
  kNoScript,
  kOutOfMemory,
  kMisconfigured,
  kWrongType,
  kNoAuth,
  kWrongPassword,
  kNoPermission,
  kExecAborted,
  kBusyKey,
  kBusyGroup,
  kNoGroup,
  kUnblocked,
  kTooManyClients,
  kUnknownCommand,
  kNoDatabase,
  kOther,  // "ERR …" and everything else; see native_text
};

Trouble trouble_of(const Error& error) noexcept;

// True unless it is known that the server did not carry the command out.
bool maybe_executed(const Error& error) noexcept;

// The Error for the text of an error reply ("WRONGTYPE Operation against …").
Error server_error(std::string_view text);

// An Error of the connection itself.
Error connection_error(ErrorCode code, Trouble trouble, std::string message, std::string native = {});

// Where MOVED or ASK leads. An empty host means: the one that said so.
struct Redirect {
  std::uint32_t slot = 0;
  Endpoint to{};
};
std::optional<Redirect> redirect_of(const Error& error);

}  // namespace setget::inline v0::redis
