// The server over an archive that hangs: what needs no archive is served meanwhile, by however few threads.
#include <setget/testing/faults.hpp>

#include "http/server_fixture.hpp"
#include "support/held_gets.hpp"

namespace {

using namespace setget;
using namespace setget_test;
using setget::testing::FaultKind;
using setget::testing::FaultPlan;
using setget::testing::FaultyArchive;
using setget::testing::Gate;

class HttpReadThrough : public HttpTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    archive_ = std::make_shared<FaultyArchive>(memory::open().value().archive(), faults_);
    through_.timeout = Milliseconds(60'000);
    // Once over a store that answers later, once over one that blocks.
    if (GetParam())
      decorate_ = [](KeyStore plain) {
        auto held = std::make_shared<HeldGets>(plain.backend());
        held->answer_at_once();
        return KeyStore(std::move(held));
      };
    HttpServerOptions options;
    options.threads = 1;
    open(std::move(options));
  }
  void TearDown() override { gate_->open(); }
  static std::string asking_for(const std::string& key) { return "GET /v1/records/" + key + " HTTP/1.1\r\nHost: test\r\n\r\n"; }
  void archive(const std::string& id, const std::string& key) {
    ArchiveEntry entry;
    entry.id = id;
    entry.version = 5;
    entry.record.id = id;
    entry.record.keys = KeyList{key};
    entry.record.payload = "\"" + id + "\"";
    entry.record.version = 5;
    const std::vector<ArchiveEntry> entries{entry};
    ASSERT_TRUE(archive_->write({.entries = entries}));
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

TEST_P(HttpReadThrough, one_thread_serves_others_while_many_gets_wait_for_the_archive) {
  for (int i = 0; i < 40; ++i) archive("x" + std::to_string(i), "lost" + std::to_string(i));
  RawClient other(port());
  set(other, "there", "7");
  faults_->add({.verb = "get", .kind = FaultKind::kStall, .times = 0, .gate = gate_});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(clients.back()->send(asking_for("lost" + std::to_string(i))));
  }
  ASSERT_TRUE(gate_->wait_for_callers(through_.threads, Deadline::in(Milliseconds(60'000))));
  const auto found = other.request("GET", "/v1/records/there").value();
  EXPECT_EQ(found.body, "7");
  EXPECT_EQ(found.headers.at("setget-tier"), "store");
  EXPECT_EQ(other.request("GET", "/healthz").value().status, 200);
  gate_->open();
  for (int i = 0; i < 40; ++i) {
    const auto response = clients[static_cast<std::size_t>(i)]->read().value();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "\"x" + std::to_string(i) + "\"");
    EXPECT_EQ(response.headers.at("setget-tier"), "archive");
  }
}

TEST_P(HttpReadThrough, stop_answers_those_who_wait_for_the_archive) {
  archive("x", "lost");
  faults_->add({.verb = "get", .kind = FaultKind::kStall, .gate = gate_});
  RawClient client(port());
  ASSERT_TRUE(client.send(asking_for("lost")));
  ASSERT_TRUE(gate_->wait_for_callers(1, Deadline::in(Milliseconds(60'000))));
  std::jthread opens([this] { gate_->open(); });
  EXPECT_TRUE(server_->stop(Deadline::in(Milliseconds(60'000))));
  EXPECT_EQ(client.read().value().status, 200);
}

INSTANTIATE_TEST_SUITE_P(Stores, HttpReadThrough, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "that_answer_later" : "that_block"; });

}  // namespace
