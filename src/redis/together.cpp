#include "redis/together.hpp"

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

// ARGV: for each question the number of its arguments, its command, the arguments. KEYS: of each question.
const Script& ask_script() {
  static const Script script(R"lua(
local out, at = {}, 1
for n = 1, #KEYS do
  local count = tonumber(ARGV[at])
  out[n] = redis.pcall(ARGV[at + 1], KEYS[n], unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
return out
)lua");
  return script;
}

}  // namespace

RedisCommand Together::transaction() const {
  std::vector<RedisCommand> commands;
  for (const auto& [verb, key, arguments] : questions_) {
    auto& command = commands.emplace_back(verb);
    command.key(key);
    for (const auto& argument : arguments) command.arg(argument);
  }
  return RedisCommand::transaction(commands).idempotent();
}

Script::Call Together::script() const {
  Script::Call call(ask_script(), questions_.size());
  for (const auto& question : questions_) call.key(question.key);
  for (const auto& [verb, key, arguments] : questions_) {
    call.arg(static_cast<std::int64_t>(arguments.size())).arg(verb);
    for (const auto& argument : arguments) call.arg(argument);
  }
  return call;
}

std::vector<Result<Reply>> ask_together(Client& client, std::span<const Together> all, Deadline deadline) {
  std::vector<RedisCommand> commands;
  commands.reserve(all.size());
  for (const auto& one : all) commands.push_back(one.transaction());
  auto replies = client.pipeline(commands, deadline);
  std::vector<Script::Call> again;
  std::vector<std::size_t> whose;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (replies[i] || trouble_of(replies[i].error()) != Trouble::kOutOfMemory) continue;
    again.push_back(all[i].script());
    whose.push_back(i);
  }
  if (again.empty()) return replies;
  auto others = run_scripts(client, again, deadline);
  for (std::size_t k = 0; k < whose.size(); ++k) replies[whose[k]] = std::move(others[k]);
  return replies;
}

}  // namespace setget::inline v0::redis
