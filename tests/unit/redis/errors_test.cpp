#include "redis/errors.hpp"

#include <gtest/gtest.h>

#include <set>

namespace {

using namespace setget;
using namespace setget::redis;

struct Case {
  const char* text;
  Trouble trouble;
  ErrorCode code;
  bool retryable;
};
// Texts of Redis 7.0.
const Case kCases[] = {
    {"MOVED 3999 127.0.0.1:6381", Trouble::kMoved, ErrorCode::kUnavailable, true},
    {"ASK 3999 127.0.0.1:6381", Trouble::kAsk, ErrorCode::kUnavailable, true},
    {"TRYAGAIN Multiple keys request during rehashing of slot", Trouble::kTryAgain, ErrorCode::kUnavailable, true},
    {"CROSSSLOT Keys in request don't hash to the same slot", Trouble::kCrossSlot, ErrorCode::kInvalidArgument, false},
    {"CLUSTERDOWN Hash slot not served", Trouble::kClusterDown, ErrorCode::kUnavailable, true},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Trouble::kMasterDown, ErrorCode::kUnavailable,
     true},
    {"LOADING Redis is loading the dataset in memory", Trouble::kLoading, ErrorCode::kUnavailable, true},
    {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", Trouble::kBusy, ErrorCode::kUnavailable,
     true},
    {"BUSYKEY Target key name already exists.", Trouble::kBusyKey, ErrorCode::kAlreadyExists, false},
    {"BUSYGROUP Consumer Group name already exists", Trouble::kBusyGroup, ErrorCode::kAlreadyExists, false},
    {"NOGROUP No such key 'a' or consumer group 'b'", Trouble::kNoGroup, ErrorCode::kFailedPrecondition, false},
    {"READONLY You can't write against a read only replica.", Trouble::kReadOnly, ErrorCode::kUnavailable, true},
    {"NOREPLICAS Not enough good replicas to write.", Trouble::kNoReplicas, ErrorCode::kUnavailable, true},
    {"NOSCRIPT No matching script. Please use EVAL.", Trouble::kNoScript, ErrorCode::kFailedPrecondition, false},
    {"OOM command not allowed when used memory > 'maxmemory'.", Trouble::kOutOfMemory, ErrorCode::kOutOfSpace, true},
    {"MISCONF Redis is configured to save RDB snapshots, but", Trouble::kMisconfigured, ErrorCode::kOutOfSpace, true},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", Trouble::kWrongType, ErrorCode::kFailedPrecondition, false},
    {"NOAUTH Authentication required.", Trouble::kNoAuth, ErrorCode::kFailedPrecondition, false},
    {"WRONGPASS invalid username-password pair or user is disabled.", Trouble::kWrongPassword, ErrorCode::kFailedPrecondition, false},
    {"NOPERM this user has no permissions to run the 'set' command", Trouble::kNoPermission, ErrorCode::kFailedPrecondition, false},
    {"ERR The user executing the script can't run this command or subcommand script: 8d6c, on @user_script:8.", Trouble::kNoPermission,
     ErrorCode::kFailedPrecondition, false},
    {"EXECABORT Transaction discarded because of previous errors.", Trouble::kExecAborted, ErrorCode::kFailedPrecondition, false},
    {"ERR DB index is out of range", Trouble::kNoDatabase, ErrorCode::kInvalidArgument, false},
    {"ERR SELECT is not allowed in cluster mode", Trouble::kNoDatabase, ErrorCode::kInvalidArgument, false},
    {"ERR max number of clients reached", Trouble::kTooManyClients, ErrorCode::kUnavailable, true},
    {"ERR unknown command 'X'", Trouble::kUnknownCommand, ErrorCode::kUnsupported, false},
    {"ERR value is not an integer or out of range", Trouble::kOther, ErrorCode::kInternal, false},
};

TEST(RedisErrors, each_have_a_code_a_trouble_advice_and_the_servers_words) {
  std::set<std::string> messages;
  for (const auto& c : kCases) {
    const auto error = server_error(c.text);
    EXPECT_EQ(trouble_of(error), c.trouble) << c.text;
    EXPECT_EQ(error.code(), c.code) << c.text;
    EXPECT_EQ(error.retryable(), c.retryable) << c.text;
    EXPECT_EQ(error.source(), ErrorSource::kRedis);
    EXPECT_EQ(error.native_text(), c.text);
    EXPECT_TRUE(messages.insert(error.message()).second) << "not distinct: " << error.message();
  }
}

// As servers before version 7 say it.
TEST(RedisErrors, of_a_scripts_command_are_told_from_those_of_the_script) {
  const auto trouble = [](const char* text) { return trouble_of(server_error(text)); };
  EXPECT_EQ(trouble("ERR Error running script (call to f_8d6c): @user_script:3: WRONGTYPE Operation against a key"), Trouble::kWrongType);
  EXPECT_EQ(trouble("ERR Error running script (call to f_8d6c): @user_script:12: @user_script: 12: -OOM command not allowed"),
            Trouble::kOutOfMemory);
  EXPECT_EQ(trouble("ERR Error running script (call to f_8d6c): @user_script:3: attempt to index a nil value"), Trouble::kOther);
  for (const char* text : {"ERR Error running script", "ERR Error running script @user_script:", "ERR Error running script @user_script:1",
                           "ERR Error running script @user_script:1: ", "ERR Error running script @user_script:1: -"})
    EXPECT_EQ(trouble(text), Trouble::kOther) << text;
}

TEST(RedisErrors, tell_whether_the_command_may_have_been_carried_out) {
  EXPECT_FALSE(maybe_executed(server_error("MOVED 1 a:2")));
  EXPECT_FALSE(maybe_executed(server_error("OOM x")));
  EXPECT_TRUE(maybe_executed(server_error("ERR Error running script")));
  EXPECT_FALSE(maybe_executed(connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, "x")));
  EXPECT_TRUE(maybe_executed(connection_error(ErrorCode::kUnavailable, Trouble::kMaybeExecuted, "x")));
  EXPECT_TRUE(maybe_executed(Error(ErrorCode::kInternal, "of somebody else")));
}

TEST(RedisErrors, say_where_a_slot_went) {
  const auto moved = redirect_of(server_error("MOVED 3999 127.0.0.1:6381")).value();
  EXPECT_EQ(moved.slot, 3999U);
  EXPECT_EQ(moved.to.text(), "127.0.0.1:6381");
  EXPECT_EQ(redirect_of(server_error("ASK 1 ::1:6381")).value().to.host, "::1");
  EXPECT_EQ(redirect_of(server_error("MOVED 1 :6381")).value().to.host, "");
  for (const char* bad : {"MOVED ", "MOVED x", "MOVED 1", "MOVED 99999 a:1", "MOVED 1 a", "MOVED 1 a:", "MOVED 1 a:x", "MOVED 1 a:0",
                          "MOVED 1 a:70000", "WRONGTYPE 1 a:1"})
    EXPECT_FALSE(redirect_of(server_error(bad)).has_value()) << bad;
}

}  // namespace
