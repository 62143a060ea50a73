// The health report of a store on Redis: what servers answered, as facts, and what these mean. The decision is pure (doctor_checks.cpp);
// the asking is thin (doctor.cpp). Thread rule: values and functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/uri.hpp"

#include <setget/clock.hpp>
#include <setget/doctor.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::redis {

class Place;

using Fields = std::map<std::string, std::string, std::less<>>;

struct ServerReport {
  std::string name{};                         // "127.0.0.1:6379"
  std::string unreachable{};                  // why nothing else is known of it
  Fields info{};                              // lines of INFO
  std::optional<Fields> config{};             // empty: CONFIG GET is not permitted
  std::optional<Milliseconds> clock_ahead{};  // of the host's
  std::optional<Milliseconds> round_trip{};
  std::vector<std::string> forbidden{};  // commands of the store that the user may not use
  Fields cluster{};                      // lines of CLUSTER INFO
  std::string nodes{};                   // CLUSTER NODES
};

struct StoreReport {
  Topology topology = Topology::kStandalone;
  std::string prefix{};
  std::uint32_t wait_replicas = 0;  // Options::wait_replicas
  std::optional<Fields> root{};     // empty: there is no store yet
  std::vector<ServerReport> servers{};
};

// "name:value" lines, as INFO and CLUSTER INFO have them.
Fields parse_fields(std::string_view text);

std::vector<Finding> judge(const StoreReport& report);

// Asks all masters. Error: none could be found.
Result<std::vector<Finding>> examine(Place& place, std::uint32_t wait_replicas, Deadline deadline);

}  // namespace setget::inline v0::redis
