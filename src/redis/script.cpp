#include "redis/script.hpp"

#include <openssl/evp.h>

#include <array>

#include "redis/errors.hpp"

namespace setget::inline v0::redis {

Script::Script(std::string_view text) : text_(text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha1(), nullptr);
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (unsigned int i = 0; i < size; ++i) {
    digest_.push_back(kDigits[bytes[i] >> 4]);
    digest_.push_back(kDigits[bytes[i] & 15]);
  }
}

Script::Call& Script::Call::arg(std::int64_t number) { return arg(std::string_view(std::to_string(number))); }

RedisCommand Script::Call::command(std::string_view verb, std::string_view script) const {
  RedisCommand out(verb);
  out.arg(script).arg(static_cast<std::int64_t>(keys_));
  bool first = true;
  for (const auto& name : names_) {
    if (std::exchange(first, false)) {
      out.key(name);
    } else {
      out.arg(name);
    }
  }
  for (const auto& argument : arguments_) out.arg(argument);
  return out;
}

std::vector<Result<Reply>> run_scripts(Client& client, std::span<const Script::Call> calls, Deadline deadline) {
  std::vector<RedisCommand> commands;
  commands.reserve(calls.size());
  for (const auto& call : calls) commands.push_back(call.by_digest());
  auto replies = client.pipeline(commands, deadline);
  // A server that did not know the script has not run it.
  std::vector<RedisCommand> again;
  std::vector<std::size_t> whose;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (replies[i] || trouble_of(replies[i].error()) != Trouble::kNoScript) continue;
    again.push_back(calls[i].in_full());
    whose.push_back(i);
  }
  if (again.empty()) return replies;
  auto others = client.pipeline(again, deadline);
  for (std::size_t i = 0; i < whose.size(); ++i) replies[whose[i]] = std::move(others[i]);
  return replies;
}

Result<Reply> run_script(Client& client, const Script::Call& call, Deadline deadline) {
  auto reply = client.call(call.by_digest(), deadline);
  if (!reply && trouble_of(reply.error()) == Trouble::kNoScript) return client.call(call.in_full(), deadline);
  return reply;
}

}  // namespace setget::inline v0::redis
