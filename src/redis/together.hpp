// Together: several questions about one part that are answered as of one moment. Thread rule: values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/client.hpp"
#include "redis/script.hpp"

namespace setget::inline v0::redis {

class Together {
 public:
  // One that only reads. All keys lie in one slot.
  Together& ask(std::string_view command, std::string key, std::vector<std::string> arguments = {}) {
    questions_.push_back({.command = command, .key = std::move(key), .arguments = std::move(arguments)});
    return *this;
  }
  RedisCommand transaction() const;
  Script::Call script() const;

 private:
  struct Question {
    std::string_view command;
    std::string key;
    std::vector<std::string> arguments;
  };
  std::vector<Question> questions_;
};

// One list of answers for each; an answer may be an error. As transactions, which cost the server least; where its memory is full it takes
// none, not even such as only read, and is asked by a script.
std::vector<Result<Reply>> ask_together(Client& client, std::span<const Together> all, Deadline deadline);

}  // namespace setget::inline v0::redis
