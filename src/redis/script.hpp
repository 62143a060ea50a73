// Script: a Lua script that the server knows by its SHA-1. It is sent in full only where the server does not know it (any more): scripts
// are lost when a server restarts, after SCRIPT FLUSH, and on a replica that becomes master. Thread rule: immutable.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/client.hpp"

namespace setget::inline v0::redis {

class Script {
 public:
  explicit Script(std::string_view text);

  // One call of it: keys (all in one slot, at least one), then arguments. Not idempotent unless the caller says so.
  class Call {
   public:
    // Precondition: exactly `keys` calls of key() before the first arg().
    Call(const Script& script, std::size_t keys) : script_(&script), keys_(keys) {}
    Call& key(std::string_view name) {
      names_.emplace_back(name);
      return *this;
    }
    Call& arg(std::string_view bytes) {
      arguments_.emplace_back(bytes);
      return *this;
    }
    Call& arg(std::int64_t number);
    // Precondition: there is one.
    std::string_view first_key() const noexcept { return names_.front(); }
    RedisCommand by_digest() const { return command("EVALSHA", script_->digest_); }
    RedisCommand in_full() const { return command("EVAL", script_->text_); }

   private:
    RedisCommand command(std::string_view verb, std::string_view script) const;
    const Script* script_;
    std::size_t keys_;
    std::vector<std::string> names_;
    std::vector<std::string> arguments_;
  };

 private:
  std::string text_;
  std::string digest_;
};

// All at once; one answer for each.
std::vector<Result<Reply>> run_scripts(Client& client, std::span<const Script::Call> calls, Deadline deadline);
Result<Reply> run_script(Client& client, const Script::Call& call, Deadline deadline);

}  // namespace setget::inline v0::redis
