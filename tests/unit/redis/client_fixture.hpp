// What the tests of Client share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "redis/client.hpp"
#include "support/redis_server.hpp"

namespace redis_test {

inline setget::Deadline soon(int ms = 20'000) { return setget::Deadline::in(setget::Milliseconds(ms)); }

inline std::shared_ptr<setget::redis::Client> client_of(const std::string& uri) {
  return setget::redis::Client::create({.settings = setget::redis::parse_uri(uri).value()}).value();
}

inline setget::redis::RedisCommand get(const std::string& key) { return setget::redis::RedisCommand("GET").key(key).idempotent(); }
inline setget::redis::RedisCommand set(const std::string& key, const std::string& value) {
  return setget::redis::RedisCommand("SET").key(key).arg(value).idempotent();
}
inline setget::redis::RedisCommand words(std::initializer_list<std::string> list) {
  setget::redis::RedisCommand command(*list.begin());
  for (auto word = list.begin() + 1; word != list.end(); ++word) command.arg(*word);
  return command;
}

}  // namespace redis_test
