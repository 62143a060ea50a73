// A load generator for HTTP/1.1 keep-alive: many connections on one thread, so that the client costs little beside the server it shares the
// machine with. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bench {

// Sends requests on `connections` connections, each waiting for its answer before the next, until `seconds` are over; then waits for what
// is under way. `make(n)` is the n-th whole request; `check(n, status, body)` says whether its answer is right. Returns how many were
// answered. Ends the process if a connection breaks or an answer is wrong.
std::uint64_t http_load(std::uint16_t port, std::size_t connections, double seconds, const std::function<std::string(std::uint64_t)>& make,
                        const std::function<bool(std::uint64_t, int, std::string_view)>& check);

}  // namespace bench
