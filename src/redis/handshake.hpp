// What a fresh connection says first: AUTH or HELLO 3, CLIENT SETNAME, SELECT; and what the server says about itself.
#pragma once

#include <string>

#include "redis/connection.hpp"
#include "redis/uri.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::redis {

struct ServerFacts {
  std::string version{};  // "7.0.15"; empty: the user may not ask
  std::string run_id{};
};

// One round trip. Errors: the server's (WRONGPASS, NOAUTH, …), or the connection's.
Result<void> shake_hands(Connection& connection, const Settings& settings, Deadline deadline);

// INFO server. Never fails: what cannot be learned stays empty.
ServerFacts ask_facts(Connection& connection, Deadline deadline);

}  // namespace setget::inline v0::redis
