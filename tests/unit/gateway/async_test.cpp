// The gateway's completion form over a store that answers later.
#include "gateway_fixture.hpp"
#include "support/held_gets.hpp"

namespace {

using namespace setget;
using namespace setget_test;

class GatewayAsync : public GatewayTest {
 protected:
  void SetUp() override {
    decorate_ = [this](KeyStore plain) {
      store_ = std::make_shared<HeldGets>(plain.backend());
      store_->keep_at_hand();
      return KeyStore(store_);
    };
    open({});
  }
  // Its answers, as they come.
  void ask(std::string method, std::string target, Headers headers = {}) {
    gateway_->handle({std::move(method), std::move(target), std::move(headers), {}, ns_},
                     [this](GatewayResponse response) { answers_.push_back(std::move(response)); });
  }
  // Gets of one record, after that was set, with all that decides about their answers.
  struct Question {
    std::string method{};
    std::string target{};
    Headers headers{};
  };
  std::vector<Question> questions() {
    set_now(envelope(R"("payload":{"n":1})"));
    const auto tag = header(call("GET", "/v1/records/order%2F42"), "ETag");
    std::vector<Question> all;
    for (const std::string method : {"GET", "HEAD"}) {
      all.push_back({method, "/v1/records/order%2F42"});
      all.push_back({method, "/v1/records?key=order/42"});
      all.push_back({method, "/v1/records/order%2F42?envelope=true"});
      all.push_back({method, "/v1/records/order%2F42", {{"If-None-Match", tag}}});
      all.push_back({method, "/v1/records/order%2F42", {{"if-match", tag}}});
      all.push_back({method, "/v1/records/order%2F42", {{"If-Match", "\"x\""}}});
      all.push_back({method, "/v1/records/none"});
      all.push_back({method, "/v1/records/none", {{"If-Match", "*"}}});
    }
    return all;
  }
  void expect_as_blocking(const GatewayResponse& answer, const Question& question) {
    const auto blocking = call(question.method, question.target, {}, question.headers);
    EXPECT_EQ(answer.status, blocking.status);
    EXPECT_EQ(answer.headers, blocking.headers);
    EXPECT_EQ(answer.body, blocking.body);
  }
  std::shared_ptr<HeldGets> store_;
  std::vector<GatewayResponse> answers_;
};

TEST_F(GatewayAsync, answers_as_the_blocking_form_does) {
  for (const auto& question : questions()) {
    SCOPED_TRACE(question.method + " " + question.target);
    answers_.clear();
    ask(question.method, question.target, question.headers);
    EXPECT_TRUE(answers_.empty()) << "the store has not answered";
    store_->answer_all();
    ASSERT_EQ(answers_.size(), 1U);
    expect_as_blocking(answers_[0], question);
  }
}

TEST_F(GatewayAsync, answers_what_is_at_hand_as_the_blocking_form_does) {
  ASSERT_TRUE(gateway_->has_at_hand());
  for (const auto& question : questions()) {
    SCOPED_TRACE(question.method + " " + question.target);
    const auto asked = store_->asked_at_hand();
    const auto answer = gateway_->answer_at_hand({question.method, question.target, question.headers, {}, ns_});
    ASSERT_TRUE(answer);
    EXPECT_EQ(store_->asked_at_hand(), asked + 1) << "a store counts who asks";
    expect_as_blocking(*answer, question);
  }
  // Everything else is for handle().
  for (const std::string target : {"/v1/records/elsewhere", "/v1/records/", "/v1/records", "/v1/records/k?envelope=2",
                                   "/v1/records/k?other=1", "/v1/records/%zz", "/v1/recordsx", "/nowhere", "/healthz", "/v1/messages/x"}) {
    EXPECT_FALSE(gateway_->answer_at_hand({"GET", target, {}, {}, ns_})) << target;
  }
  for (const std::string method : {"POST", "DELETE", "PUT", "get"})
    EXPECT_FALSE(gateway_->answer_at_hand({method, "/v1/records/order%2F42", {}, {}, ns_})) << method;
  EXPECT_EQ(store_->waiting(), 0U);
}

TEST_F(GatewayAsync, tells_of_a_repeat_only_where_the_answer_can_come_again) {
  set_now(envelope(R"("payload":{"n":1})"));
  const GatewayRequest request{"GET", "/v1/records/order%2F42", {}, {}, ns_};
  std::optional<Gateway::Repeat> repeat;
  const auto flows = pipeline_->ttl_policy().flows();
  const auto holders = flows.use_count();
  ASSERT_TRUE(gateway_->answer_at_hand(request, &repeat));
  ASSERT_TRUE(repeat);
  EXPECT_TRUE(gateway_->answers_the_same(*repeat));
  EXPECT_EQ(flows.use_count(), holders) << "what might come again would keep policies of the past";
  ASSERT_TRUE(pipeline_->ttl_policy().reload({}));
  EXPECT_FALSE(gateway_->answers_the_same(*repeat));
  store_->share_copies();
  repeat.reset();
  ASSERT_TRUE(gateway_->answer_at_hand(request, &repeat));
  EXPECT_FALSE(repeat) << "a copy is another object each time";
}

TEST_F(GatewayAsync, answers_at_once_what_needs_no_store) {
  for (const std::string target :
       {"/v1/records/", "/v1/records", "/v1/records/k?envelope=2", "/v1/records/k?other=1", "/nowhere", "/healthz"}) {
    SCOPED_TRACE(target);
    answers_.clear();
    ask("GET", target);
    ASSERT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_[0].status, call("GET", target).status);
  }
  EXPECT_EQ(store_->waiting(), 0U);
}

TEST_F(GatewayAsync, says_what_the_store_says) {
  ask("GET", "/v1/records/k");
  store_->answer_all(Error(ErrorCode::kUnavailable, "away"));
  ASSERT_EQ(answers_.size(), 1U);
  EXPECT_EQ(answers_[0].status, 503);
}

TEST_F(GatewayAsync, never_shows_a_record_that_expired_by_the_clock_of_the_question) {
  set_now(envelope(R"("payload":1,"ttl":"1s")"));
  ask("GET", "/v1/records/order%2F42");
  clock_->advance(Milliseconds(2000));
  ask("GET", "/v1/records/order%2F42");
  store_->answer_all();
  ASSERT_EQ(answers_.size(), 2U);
  EXPECT_EQ(answers_[0].status, 404) << "the later one, answered first";
  EXPECT_EQ(answers_[1].status, 200);
}

}  // namespace
