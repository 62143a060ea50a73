#include "mirror.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

namespace driver {

namespace {

std::string header(const Response& response, const char* name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? std::string() : found->second;
}

// A 503 says that the archive did not answer in time, and that the get may be repeated: so it is, for as long as a client would.
Response patient_get(HttpClient& server, const std::string& target) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  auto pause = std::chrono::milliseconds(20);
  for (;;) {
    auto response = server.request("GET", target);
    if (response.status != 503 || std::chrono::steady_clock::now() >= end) return response;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(1'000));
  }
}

// Nothing, or how the second answer is not the first.
std::string difference(const Response& first, const Response& second, const std::string& tier) {
  if (first.status != 200 || second.status != 200)
    return std::to_string(first.status) + " here, " + std::to_string(second.status) + " there";
  if (first.body != second.body) return "other bytes";
  for (const char* name : {"content-type", "etag", "setget-id", "setget-version", "setget-expires-at"}) {
    if (header(first, name) != header(second, name))
      return std::string(name) + " is " + header(first, name) + ", and " + header(second, name);
  }
  if (header(second, "setget-tier") != tier) return "the " + header(second, "setget-tier") + " answered, not the " + tier;
  return {};
}

}  // namespace

Mirrored mirror(const Address& first, const Address& second, const std::vector<Delivery>& deliveries, const std::string& tier) {
  std::set<std::string> keys;
  for (const auto& delivery : deliveries) keys.insert(delivery.keys.begin(), delivery.keys.end());
  HttpClient here(first);
  HttpClient there(second);
  Mirrored out;
  // All keys, where the archive has an index for them; where it looks at every record for each, as many as this time allows.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (const auto& key : keys) {
    if (std::chrono::steady_clock::now() >= end) break;
    const std::string target = "/v1/records/" + percent_encode(key);
    const auto found = difference(patient_get(here, target), patient_get(there, target), tier);
    if (!found.empty() && out.differences.size() < 20) out.differences.push_back(key + ": " + found);
    ++out.keys;
  }
  if (out.keys == 0) out.differences.emplace_back("there are no keys to read");
  return out;
}

}  // namespace driver
