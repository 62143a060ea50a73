#include "run.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include <nlohmann/json.hpp>

namespace driver {

namespace {

using Json = nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kConnections = 8;
constexpr std::size_t kBatch = 10;

double ms_since(SteadyClock::time_point start) { return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count(); }

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::min(values.size() - 1, rank == 0 ? 0 : rank - 1)];
}

// What the server said to a set.
struct Accepted {
  std::string message_id;
  std::uint64_t version = 0;  // assigned: the stamp, which orders the claims on a key
};

class Run {
 public:
  Run(Address api, Address admin, const std::vector<Delivery>& deliveries)
      : api_(std::move(api)), admin_(std::move(admin)), deliveries_(deliveries), accepted_(deliveries.size()) {}

  Summary go() {
    summary_.payloads = deliveries_.size();
    const auto start = SteadyClock::now();
    send_everything();
    const auto messages = collect_messages();
    await_outcomes(messages);
    await_empty_queue();
    summary_.sets_per_second = static_cast<double>(messages.size()) / ms_since(start) * 1000;
    send_again();
    send_caller_versions();
    send_invalid();
    read_everything();
    return std::move(summary_);
  }

 private:
  void differ(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (summary_.differences.size() < 20) summary_.differences.push_back(what);
  }

  // Runs `step(client, item)` for items [0, count) on kConnections connections.
  void in_parallel(std::size_t count, const std::function<void(HttpClient&, std::size_t)>& step) {
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    const auto work = [&] {
      try {
        HttpClient client(api_);
        for (std::size_t item; (item = next.fetch_add(1)) < count;) step(client, item);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        failure = std::current_exception();
      }
    };
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kConnections; ++i) threads.emplace_back(work);
    for (auto& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }

  static std::string envelope(const Delivery& delivery) {
    // The payload goes in as it is, so that its white space is part of what must come back.
    const Json rest = {{"keys", delivery.keys}, {"account", "github"}, {"flow", delivery.event}, {"id", delivery.id}};
    std::string text = rest.dump();
    text.pop_back();
    return text + ",\"payload\":" + delivery.payload + "}";
  }

  Response post_one(HttpClient& client, const Delivery& delivery, std::size_t index) {
    const Headers headers = {{"Content-Type", "application/json"}, {"Idempotency-Key", delivery.id}};
    if (index % 3 == 0) return client.request("POST", "/v1/records", headers, envelope(delivery));
    std::string target = "/v1/payloads?account=github&flow=" + percent_encode(delivery.event) + "&id=" + percent_encode(delivery.id);
    for (const auto& key : delivery.keys) target += "&key=" + percent_encode(key);
    return client.request("POST", target, headers, delivery.payload);
  }

  void note(std::size_t index, const Json& answer) {
    accepted_[index] = {answer.at("message_id").get<std::string>(), answer.at("version").get<std::uint64_t>()};
  }

  // A third as envelopes, a third as bare payloads, a third in NDJSON batches.
  void send_everything() {
    std::vector<std::size_t> single;
    std::vector<std::vector<std::size_t>> batches;
    for (std::size_t i = 0; i < deliveries_.size(); ++i) {
      if (!deliveries_[i].one_line) {
        single.push_back(i);
        continue;
      }
      if (batches.empty() || batches.back().size() == kBatch) batches.emplace_back();
      batches.back().push_back(i);
    }
    std::vector<double> latencies;
    in_parallel(single.size() + batches.size(), [&](HttpClient& client, std::size_t item) {
      const auto began = SteadyClock::now();
      if (item < single.size()) {
        const std::size_t index = single[item];
        const Response response = post_one(client, deliveries_[index], index);
        if (response.status != 202) throw Failure("a set was answered " + std::to_string(response.status) + ": " + response.body);
        note(index, Json::parse(response.body));
      } else {
        send_batch(client, batches[item - single.size()]);
      }
      const std::lock_guard lock(mutex_);
      latencies.push_back(ms_since(began));
    });
    summary_.set_p50_ms = percentile(latencies, 0.5);
    summary_.set_p99_ms = percentile(latencies, 0.99);
  }

  void send_batch(HttpClient& client, const std::vector<std::size_t>& batch) {
    std::string lines;
    for (const std::size_t index : batch) lines += envelope(deliveries_[index]) + "\n";
    const Response response = client.request("POST", "/v1/records:batch", {{"Content-Type", "application/x-ndjson"}}, lines);
    if (response.status != 200) throw Failure("a batch was answered " + std::to_string(response.status) + ": " + response.body);
    const Json answer = Json::parse(response.body);
    const Json& results = answer.at("results");
    if (results.size() != batch.size())
      throw Failure("a batch of " + std::to_string(batch.size()) + " got " + std::to_string(results.size()) + " results");
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (results[i].at("status") != 202) throw Failure("a set of a batch was refused: " + results[i].dump());
      note(batch[i], results[i]);
    }
  }

  std::vector<std::string> collect_messages() const {
    std::vector<std::string> messages;
    for (const auto& one : accepted_) messages.push_back(one.message_id);
    return messages;
  }

  void await_outcomes(const std::vector<std::string>& messages) {
    summary_.accepted += messages.size();
    in_parallel(messages.size(), [&](HttpClient& client, std::size_t item) {
      const Response response = client.request("GET", "/v1/messages/" + percent_encode(messages[item]) + "?wait=30s");
      if (response.status != 200) throw Failure("GET /v1/messages was answered " + std::to_string(response.status) + ": " + response.body);
      const std::string outcome = Json::parse(response.body).at("outcome").get<std::string>();
      if (outcome != "applied" && outcome != "duplicate")
        differ("message " + messages[item] + " ended as " + outcome + ": " + response.body);
      const std::lock_guard lock(mutex_);
      ++summary_.outcomes[outcome];
    });
  }

  void await_empty_queue() {
    HttpClient admin(admin_);
    const auto start = SteadyClock::now();
    while (true) {
      const Json queue = Json::parse(admin.request("GET", "/v1/queue").body);
      const auto waiting =
          queue.at("depth").get<std::uint64_t>() + queue.at("in_flight").get<std::uint64_t>() + queue.at("delayed").get<std::uint64_t>();
      if (waiting == 0) return;
      if (ms_since(start) > 60'000) throw Failure("the queue is not empty after 60 s: " + queue.dump());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  // A producer that lost the answer sends again with the same Idempotency-Key: the same answer, and nothing is accepted twice.
  void send_again() {
    HttpClient client(api_);
    for (std::size_t i = 0; i < deliveries_.size() && summary_.replayed < 5; ++i) {
      if (deliveries_[i].one_line) continue;
      const Response response = post_one(client, deliveries_[i], i);
      const Json answer = Json::parse(response.body, nullptr, false);
      if (response.status != 202 || answer.value("message_id", "") != accepted_[i].message_id) {
        differ("a repeated Idempotency-Key was answered " + std::to_string(response.status) + ": " + response.body);
      }
      ++summary_.replayed;
    }
  }

  // The same version with the same bytes twice: applied, then a duplicate.
  void send_caller_versions() {
    HttpClient client(api_);
    std::vector<std::string> messages;
    for (int i = 0; i < 10; ++i) {
      const std::string name = "versioned/" + std::to_string(i / 2);
      const Json body = {{"keys", {name}}, {"account", "github"}, {"flow", "ping"},
                         {"id", name},     {"version", 1},        {"payload", {{"n", i / 2}}}};
      const Response response = client.request("POST", "/v1/records", {{"Content-Type", "application/json"}}, body.dump());
      if (response.status != 202) throw Failure("a set was answered " + std::to_string(response.status) + ": " + response.body);
      messages.push_back(Json::parse(response.body).at("message_id").get<std::string>());
    }
    const auto before = summary_.outcomes["duplicate"];
    await_outcomes(messages);
    if (summary_.outcomes["duplicate"] - before < 5) differ("a repeated version was not a duplicate");
  }

  void send_invalid() {
    HttpClient client(api_);
    const std::pair<const char*, int> bad[] = {
        {R"({"keys":[],"account":"github","flow":"ping","payload":1})", 422},
        {R"({"keys":["a"],"account":"github","flow":"ping","payload":1,"ttl":-5})", 422},
        {R"({"keys":["a"],"account":"github","flow":"ping","payload":{"x":1)", 400},
    };
    for (const auto& [body, status] : bad) {
      Response response = client.request("POST", "/v1/records", {{"Content-Type", "application/json"}}, body);
      if (response.status != status || response.headers["content-type"] != "application/problem+json") {
        differ(std::string("an invalid envelope was answered ") + std::to_string(response.status) + ": " + body);
      }
      ++summary_.rejected;
    }
  }

  // A key leads to the record with the highest stamp that claimed it.
  std::map<std::string, std::size_t> expected_holders() const {
    std::map<std::string, std::size_t> holders;
    for (std::size_t i = 0; i < deliveries_.size(); ++i) {
      for (const auto& key : deliveries_[i].keys) {
        const auto [at, fresh] = holders.emplace(key, i);
        if (!fresh && accepted_[i].version > accepted_[at->second].version) at->second = i;
      }
    }
    return holders;
  }

  void read_everything() {
    const auto holders = expected_holders();
    std::vector<std::pair<std::string, std::size_t>> wanted;
    for (const auto& delivery : deliveries_) {
      for (const auto& key : delivery.keys) wanted.emplace_back(key, holders.at(key));
    }
    std::vector<double> latencies;
    const auto start = SteadyClock::now();
    in_parallel(wanted.size(), [&](HttpClient& client, std::size_t item) {
      const auto& [key, holder] = wanted[item];
      const auto began = SteadyClock::now();
      // By path and by query in turns: both must lead to the same place.
      const std::string target = item % 2 == 0 ? "/v1/records/" + percent_encode(key) : "/v1/records?key=" + percent_encode(key);
      const Response response = client.request("GET", target);
      const double took = ms_since(began);
      compare(key, deliveries_[holder], accepted_[holder], response);
      const std::lock_guard lock(mutex_);
      latencies.push_back(took);
    });
    summary_.gets_per_second = static_cast<double>(wanted.size()) / ms_since(start) * 1000;
    summary_.get_p50_ms = percentile(latencies, 0.5);
    summary_.get_p99_ms = percentile(latencies, 0.99);
    summary_.keys_read = wanted.size();
    std::vector<std::size_t> read;
    for (const auto& [key, holder] : wanted) read.push_back(holder);
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    summary_.records_read = read.size();
    if (summary_.records_read != deliveries_.size()) differ("not every record was read");
  }

  void compare(const std::string& key, const Delivery& delivery, const Accepted& accepted, const Response& response) {
    const auto header = [&](const char* name) {
      const auto found = response.headers.find(name);
      return found == response.headers.end() ? std::string() : found->second;
    };
    if (response.status != 200) return differ(key + " was answered " + std::to_string(response.status));
    if (response.body != delivery.payload) {
      return differ(key + " gave " + std::to_string(response.body.size()) + " bytes that are not the " +
                    std::to_string(delivery.payload.size()) + " sent");
    }
    if (header("content-type") != "application/json") differ(key + " has Content-Type " + header("content-type"));
    if (header("setget-id") != delivery.id) differ(key + " leads to " + header("setget-id") + ", not to " + delivery.id);
    if (header("setget-version") != std::to_string(accepted.version)) differ(key + " has version " + header("setget-version"));
  }

  Address api_;
  Address admin_;
  const std::vector<Delivery>& deliveries_;
  std::vector<Accepted> accepted_;
  std::mutex mutex_;
  Summary summary_;
};

}  // namespace

Summary run(const Address& api, const Address& admin, const std::vector<Delivery>& deliveries) { return Run(api, admin, deliveries).go(); }

}  // namespace driver
