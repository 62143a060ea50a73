#include <condition_variable>
#include <mutex>
#include <thread>

#include <setget/testing/forwarding.hpp>

#include "gateway_fixture.hpp"

namespace {

using setget_test::envelope;
using setget_test::GatewayTest;
using setget_test::Headers;
using setget_test::json;

class GatewayIdempotency : public GatewayTest {
 protected:
  setget::GatewayResponse set_with(const std::string& key, const std::string& body) { return set(body, {{"Idempotency-Key", key}}); }
  std::uint64_t accepted() { return body_of(call("GET", "/v1/queue")).at("accepted").get<std::uint64_t>(); }
};

TEST_F(GatewayIdempotency, the_same_key_and_body_give_the_same_answer_once) {
  const auto first = set_with("k-1", envelope(R"("payload":1)"));
  ASSERT_EQ(first.status, 202);
  const auto again = set_with("k-1", envelope(R"("payload":1)"));
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.body.view(), first.body.view());
  EXPECT_EQ(header(again, "Location"), header(first, "Location"));
  EXPECT_EQ(header(again, "Idempotency-Replayed"), "true");
  EXPECT_EQ(accepted(), 1u);
}

TEST_F(GatewayIdempotency, quotes_of_the_draft_are_not_part_of_the_key) {
  const auto first = set_with("\"k-1\"", envelope(R"("payload":1)"));
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":1)")).body.view(), first.body.view());
}

TEST_F(GatewayIdempotency, another_body_under_the_same_key_is_refused) {
  ASSERT_EQ(set_with("k-1", envelope(R"("payload":1)")).status, 202);
  const auto other = set_with("k-1", envelope(R"("payload":2)"));
  EXPECT_EQ(other.status, 422);
  EXPECT_EQ(violations(other), std::vector<std::string>{"idempotency_key_reused "});
  EXPECT_EQ(accepted(), 1u);
}

TEST_F(GatewayIdempotency, keys_are_scoped_by_namespace_and_route) {
  ASSERT_EQ(set_with("k-1", envelope(R"("payload":1)")).status, 202);
  EXPECT_EQ(call("DELETE", "/v1/records/order%2F42", "", {{"Idempotency-Key", "k-1"}}).status, 202);
  EXPECT_EQ(call("POST", "/v1/records:batch", "[" + envelope(R"("payload":2)") + "]", {{"Idempotency-Key", "k-1"}}).status, 200);
  ns_ = "other";
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":9)")).status, 202);
  EXPECT_EQ(accepted(), 4u);
}

TEST_F(GatewayIdempotency, isolated_accounts_do_not_meet_each_others_keys) {
  setget::Flows flows;
  flows.isolate_accounts = true;
  setget::MappingOptions mapping;
  mapping.keys = {"body.id"};
  mapping.account = "body.account";
  mapping.default_flow = "hooks";
  setget::GatewayOptions options;
  options.hooks.push_back({.name = "hook", .mapping = setget::Mapping::compile(mapping).value()});
  open(std::move(options), flows);
  const Headers headers{{"Content-Type", "application/json"}, {"Idempotency-Key", "k-1"}};
  for (const std::string account : {"acme", "globex"}) {
    const std::string body = R"({"keys":["k"],"flow":"f","payload":1,"account":")" + account + "\"}";
    EXPECT_EQ(call("POST", "/v1/records", body, headers).status, 202) << account;
    EXPECT_EQ(call("POST", "/v1/payloads?flow=f&key=k&account=" + account, "1", headers).status, 202) << account;
    EXPECT_EQ(call("POST", "/v1/hooks/hook", R"({"id":"h","account":")" + account + "\"}", headers).status, 202) << account;
    EXPECT_EQ(call("DELETE", "/v1/records/k?account=" + account, "", headers).status, 202) << account;
    EXPECT_EQ(header(call("POST", "/v1/records", body, headers), "Idempotency-Replayed"), "true") << account;
  }
  EXPECT_EQ(accepted(), 8u);
  // Within one account they do.
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":2)")).status, 422);
}

TEST_F(GatewayIdempotency, a_key_is_forgotten_after_a_day) {
  ASSERT_EQ(set_with("k-1", envelope(R"("payload":1)")).status, 202);
  clock_->advance(std::chrono::hours(24) - setget::Milliseconds(1));
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":2)")).status, 422);
  clock_->advance(setget::Milliseconds(1));
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":2)")).status, 202);
}

TEST_F(GatewayIdempotency, a_refused_request_may_be_corrected_under_its_key) {
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":1,"ttl":-1)")).status, 422);
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":1,"ttl":1)")).status, 202);
}

TEST_F(GatewayIdempotency, keys_are_bounded) {
  EXPECT_EQ(set_with(std::string(255, 'a'), envelope(R"("payload":1)")).status, 202);
  for (const std::string& bad : {std::string(256, 'a'), std::string(""), std::string("\"\""), std::string("a\x01")}) {
    const auto refused = set_with(bad, envelope(R"("payload":1)"));
    EXPECT_EQ(refused.status, 422) << bad;
  }
}

// Holds the first begin until it is released, so that the second request meets an unfinished one.
class GatedStore final : public setget::IdempotencyStore {
 public:
  setget::Result<std::optional<Entry>> begin(std::string_view key, const Entry& entry, setget::TimePoint now) override {
    auto found = inner_->begin(key, entry, now);
    if (found && !*found) {
      std::unique_lock lock(mutex_);
      begun_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return released_; });
    }
    return found;
  }
  setget::Result<void> finish(std::string_view key, const Entry& entry) override { return inner_->finish(key, entry); }
  setget::Result<void> abandon(std::string_view key) override { return inner_->abandon(key); }
  void wait_begun() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return begun_; });
  }
  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::shared_ptr<setget::IdempotencyStore> inner_ = setget::memory_idempotency_store();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false;
  bool released_ = false;
};

TEST_F(GatewayIdempotency, a_second_request_while_the_first_is_handled_is_told_to_come_back) {
  const auto store = std::make_shared<GatedStore>();
  open({.idempotency = store});
  setget::GatewayResponse first;
  std::thread thread([&] { first = set_with("k-1", envelope(R"("payload":1)")); });
  store->wait_begun();
  const auto second = set_with("k-1", envelope(R"("payload":1)"));
  store->release();
  thread.join();
  EXPECT_EQ(second.status, 409);
  EXPECT_FALSE(header(second, "Retry-After").empty());
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(set_with("k-1", envelope(R"("payload":1)")).body.view(), first.body.view());
}

// Loses every answer after the message was accepted, as a process that dies does.
class ForgetfulStore final : public setget::IdempotencyStore {
 public:
  setget::Result<std::optional<Entry>> begin(std::string_view, const Entry&, setget::TimePoint) override { return std::optional<Entry>(); }
  setget::Result<void> finish(std::string_view, const Entry&) override { return setget::Error(setget::ErrorCode::kUnavailable, "lost"); }
  setget::Result<void> abandon(std::string_view) override { return {}; }
};

TEST_F(GatewayIdempotency, a_retry_after_a_lost_answer_finds_the_accepted_message) {
  open({.idempotency = std::make_shared<ForgetfulStore>()});
  const auto first = set_with("k-1", envelope(R"("payload":1)"));
  const auto again = set_with("k-1", envelope(R"("payload":1)"));
  ASSERT_EQ(first.status, 202);
  ASSERT_EQ(again.status, 202);
  EXPECT_EQ(body_of(again).at("message_id"), body_of(first).at("message_id"));
  EXPECT_EQ(accepted(), 1u);
}

// Takes what it is given and loses its answer, as often as it is told.
class LosingQueue final : public setget::testing::ForwardingQueue {
 public:
  LosingQueue(std::shared_ptr<setget::QueueBackend> inner, int& losses, bool& away, bool& full)
      : ForwardingQueue(std::move(inner)), losses_(losses), away_(away), full_(full) {}
  setget::Result<std::vector<setget::Result<setget::SentMessage>>> send(const setget::SendMessages& request) override {
    if (away_) return setget::Error(setget::ErrorCode::kUnavailable, "away");
    if (full_) return setget::Error(setget::ErrorCode::kResourceExhausted, "full");
    auto sent = ForwardingQueue::send(request);
    if (losses_ == 0) return sent;
    --losses_;
    return setget::Error(setget::ErrorCode::kDeadlineExceeded, "no answer in time");
  }

 private:
  int& losses_;
  bool& away_;
  bool& full_;
};

class GatewayLostAnswer : public GatewayIdempotency {
 protected:
  void SetUp() override {
    decorate_queue_ = [this](const setget::Queue& plain) {
      return setget::Queue(std::make_shared<LosingQueue>(plain.backend(), losses_, away_, full_), plain.name());
    };
    open({});
  }
  setget::GatewayResponse with(const std::string& method, const std::string& target, const std::string& body, const std::string& condition,
                               const std::string& value) {
    return call(method, target, body, {{"Content-Type", "application/json"}, {"Idempotency-Key", "k-1"}, {condition, value}});
  }
  std::string payload() { return std::string(call("GET", "/v1/records/k").body.view()); }
  static std::string record(const std::string& payload) {
    return R"({"id":"r","keys":["k"],"account":"acme","flow":"f","payload":)" + payload + "}";
  }

  int losses_ = 0;
  bool away_ = false;
  bool full_ = false;
};

// What the first try did is no reason to refuse the second.
TEST_F(GatewayLostAnswer, a_condition_that_held_is_not_held_against_the_retry) {
  losses_ = 1;
  EXPECT_GE(with("POST", "/v1/records", record("1"), "If-None-Match", "*").status, 500);
  drain();
  ASSERT_EQ(payload(), "1");
  const auto made = with("POST", "/v1/records", record("1"), "If-None-Match", "*");
  ASSERT_EQ(made.status, 202);
  EXPECT_TRUE(body_of(made).value("deduplicated", false));
  EXPECT_EQ(with("POST", "/v1/records", record("1"), "If-None-Match", "*").body.view(), made.body.view()) << "and is remembered";

  const auto tag = header(call("GET", "/v1/records/k"), "ETag");
  losses_ = 1;
  const Headers replacing{{"Content-Type", "application/json"}, {"Idempotency-Key", "k-2"}, {"If-Match", tag}};
  EXPECT_GE(call("POST", "/v1/records", record("2"), replacing).status, 500);
  drain();
  ASSERT_EQ(payload(), "2");
  const auto replaced = call("POST", "/v1/records", record("2"), replacing);
  ASSERT_EQ(replaced.status, 202);
  EXPECT_TRUE(body_of(replaced).value("deduplicated", false));

  losses_ = 1;
  const Headers erasing{{"Idempotency-Key", "k-3"}, {"If-Match", header(call("GET", "/v1/records/k"), "ETag")}};
  EXPECT_GE(call("DELETE", "/v1/records/k", "", erasing).status, 500);
  drain();
  ASSERT_EQ(call("GET", "/v1/records/k").status, 404);
  EXPECT_EQ(call("DELETE", "/v1/records/k", "", erasing).status, 202);
  EXPECT_EQ(accepted(), 3u);
}

// The condition is the worker's then.
TEST_F(GatewayLostAnswer, a_condition_that_does_not_hold_changes_nothing_by_the_retry_either) {
  ASSERT_EQ(call("POST", "/v1/records", record("1")).status, 202);
  drain();
  const auto tag = header(call("GET", "/v1/records/k"), "ETag");
  away_ = true;
  ASSERT_GE(with("POST", "/v1/records", record("2"), "If-Match", tag).status, 500);
  away_ = false;
  ASSERT_EQ(call("POST", "/v1/records", record("3")).status, 202);
  drain();
  EXPECT_EQ(with("POST", "/v1/records", record("2"), "If-Match", tag).status, 202);
  drain();
  EXPECT_EQ(payload(), "3");
  EXPECT_EQ(with("POST", "/v1/records", record("4"), "If-Match", tag).status, 422) << "another request under the key";
}

// One that is slower than another, and fails.
TEST_F(GatewayLostAnswer, an_answer_that_is_remembered_stays) {
  using Entry = setget::IdempotencyStore::Entry;
  const auto store = setget::memory_idempotency_store();
  const auto at = [](int ms) { return setget::TimePoint(setget::Milliseconds(ms)); };
  const Entry under_way{.request = {.high = 1, .low = 2}, .status = 0, .response = "1", .expires_at = at(1000)};
  const Entry done{.request = {.high = 1, .low = 2}, .status = 202, .response = "yes", .expires_at = at(2000)};
  ASSERT_FALSE(store->begin("k", under_way, at(0)).value());
  ASSERT_TRUE(store->finish("k", under_way));
  ASSERT_TRUE(store->finish("k", done));
  ASSERT_TRUE(store->finish("k", under_way));
  ASSERT_TRUE(store->abandon("k"));
  EXPECT_EQ(store->begin("k", under_way, at(1500)).value().value().response, "yes");
}

TEST_F(GatewayLostAnswer, a_retry_that_is_told_to_wait_is_still_one) {
  losses_ = 1;
  ASSERT_GE(with("POST", "/v1/records", record("1"), "If-None-Match", "*").status, 500);
  drain();
  full_ = true;
  ASSERT_EQ(with("POST", "/v1/records", record("1"), "If-None-Match", "*").status, 429);
  full_ = false;
  EXPECT_EQ(with("POST", "/v1/records", record("1"), "If-None-Match", "*").status, 202);
}

// As a process leaves it that dies in between.
TEST_F(GatewayLostAnswer, a_try_that_nobody_ended_is_gone_on_with_once_it_must_be_over) {
  struct Dying final : setget::IdempotencyStore {
    std::shared_ptr<setget::IdempotencyStore> inner = setget::memory_idempotency_store();
    bool dies = true;
    setget::Result<std::optional<Entry>> begin(std::string_view key, const Entry& entry, setget::TimePoint now) override {
      return inner->begin(key, entry, now);
    }
    setget::Result<void> finish(std::string_view key, const Entry& entry) override {
      return dies ? setget::Result<void>() : inner->finish(key, entry);
    }
    setget::Result<void> abandon(std::string_view key) override { return dies ? setget::Result<void>() : inner->abandon(key); }
  };
  const auto store = std::make_shared<Dying>();
  open({.idempotency = store});
  ASSERT_EQ(with("POST", "/v1/records", record("1"), "If-None-Match", "*").status, 202);
  store->dies = false;
  drain();
  EXPECT_EQ(with("POST", "/v1/records", record("1"), "If-None-Match", "*").status, 409);
  clock_->advance(setget::Milliseconds(80'000));
  const auto again = with("POST", "/v1/records", record("1"), "If-None-Match", "*");
  ASSERT_EQ(again.status, 202);
  EXPECT_TRUE(body_of(again).value("deduplicated", false));
  EXPECT_EQ(header(with("POST", "/v1/records", record("1"), "If-None-Match", "*"), "Idempotency-Replayed"), "true");
}

// Has no room for the last message of its first send.
class OnceFullQueue final : public setget::testing::ForwardingQueue {
 public:
  using ForwardingQueue::ForwardingQueue;
  setget::Result<std::vector<setget::Result<setget::SentMessage>>> send(const setget::SendMessages& request) override {
    if (std::exchange(was_full_, true)) return ForwardingQueue::send(request);
    auto fitting = request;
    fitting.messages = request.messages.first(request.messages.size() - 1);
    auto sent = ForwardingQueue::send(fitting);
    if (sent) sent->emplace_back(setget::Error(setget::ErrorCode::kResourceExhausted, "full"));
    return sent;
  }

 private:
  bool was_full_ = false;
};

class GatewayIdempotentBatch : public GatewayIdempotency {
 protected:
  void SetUp() override {
    decorate_queue_ = [](const setget::Queue& plain) {
      return setget::Queue(std::make_shared<OnceFullQueue>(plain.backend()), plain.name());
    };
    open({});
  }
  setget::GatewayResponse batch(const std::string& entries) {
    return call("POST", "/v1/records:batch", "[" + entries + "]", {{"Content-Type", "application/json"}, {"Idempotency-Key", "k-1"}});
  }
  static std::vector<int> statuses(const setget::GatewayResponse& response) {
    std::vector<int> all;
    const json body = body_of(response);
    for (const auto& entry : body.at("results")) all.push_back(entry.at("status").get<int>());
    return all;
  }
};

TEST_F(GatewayIdempotentBatch, what_had_no_room_is_tried_again_and_what_was_accepted_stays_what_it_is) {
  const std::string entries = envelope(R"("payload":1)") + R"(,{"keys":[]},)" + envelope(R"("payload":2)");
  const auto first = batch(entries);
  ASSERT_EQ(first.status, 200) << first.body.view();
  ASSERT_EQ(statuses(first), (std::vector<int>{202, 422, 429}));
  const auto again = batch(entries);
  EXPECT_EQ(header(again, "Idempotency-Replayed"), "");
  EXPECT_EQ(statuses(again), (std::vector<int>{202, 422, 202}));
  const json earlier = body_of(first).at("results").at(0);
  const json retried = body_of(again).at("results").at(0);
  EXPECT_EQ(retried.at("message_id"), earlier.at("message_id"));
  EXPECT_EQ(retried.at("deduplicated"), true);
  EXPECT_EQ(accepted(), 2u);
  const auto replayed = batch(entries);
  EXPECT_EQ(header(replayed, "Idempotency-Replayed"), "true");
  EXPECT_EQ(replayed.body.view(), again.body.view());
  EXPECT_EQ(accepted(), 2u);
}

TEST_F(GatewayIdempotentBatch, what_breaks_a_rule_is_remembered_with_the_rest) {
  decorate_queue_ = nullptr;
  open({});
  const std::string entries = envelope(R"("payload":1)") + R"(,{"keys":[]})";
  ASSERT_EQ(statuses(batch(entries)), (std::vector<int>{202, 422}));
  EXPECT_EQ(header(batch(entries), "Idempotency-Replayed"), "true");
}

// A route whose mapping reads the headers, the method and when the request came.
class GatewayIdempotentHook : public GatewayIdempotency {
 protected:
  void SetUp() override {
    setget::MappingOptions mapping;
    mapping.id = R"(headers."x-delivery")";
    mapping.keys = {R"(headers."x-delivery")"};
    mapping.default_account = "acme";
    mapping.default_flow = "hooks";
    mapping.attributes = {{"at", "received_at"}, {"by", "method"}};
    setget::GatewayOptions options;
    options.hooks.push_back({.name = "hook", .methods = {"POST", "PUT"}, .mapping = setget::Mapping::compile(mapping).value()});
    open(std::move(options));
  }
  setget::GatewayResponse deliver(const std::string& id, Headers more = {}, const std::string& method = "POST") {
    more.insert(more.end(), {{"Content-Type", "application/json"}, {"Idempotency-Key", "k-1"}, {"X-Delivery", id}});
    return call(method, "/v1/hooks/hook", R"({"a":1})", std::move(more));
  }
};

TEST_F(GatewayIdempotentHook, a_header_that_makes_another_record_makes_another_request) {
  const auto first = deliver("d-1");
  ASSERT_EQ(first.status, 202) << first.body.view();
  const auto other = deliver("d-2");
  EXPECT_EQ(other.status, 422) << other.body.view();
  EXPECT_EQ(violations(other), std::vector<std::string>{"idempotency_key_reused "});
  EXPECT_EQ(deliver("d-1", {}, "PUT").status, 422);
  EXPECT_EQ(accepted(), 1u);
}

TEST_F(GatewayIdempotentHook, what_the_mapping_does_not_read_and_the_time_make_no_other_request) {
  const auto first = deliver("d-1", {{"X-Request-Id", "1"}});
  ASSERT_EQ(first.status, 202) << first.body.view();
  clock_->advance(setget::Milliseconds(1500));
  const auto again = deliver("d-1", {{"X-Request-Id", "2"}});
  EXPECT_EQ(header(again, "Idempotency-Replayed"), "true");
  EXPECT_EQ(again.body.view(), first.body.view());
  EXPECT_EQ(accepted(), 1u);
}

TEST_F(GatewayIdempotentHook, what_cannot_be_mapped_is_refused_with_its_reasons_and_not_remembered) {
  const auto refused = call("POST", "/v1/hooks/hook", "{}", {{"Content-Type", "application/json"}, {"Idempotency-Key", "k-1"}});
  EXPECT_EQ(refused.status, 422);
  EXPECT_FALSE(violations(refused).empty());
  EXPECT_EQ(deliver("d-1").status, 202);
}

}  // namespace
