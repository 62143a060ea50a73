// A server that answers as the test says, for answers that no server at hand gives on demand: a member of a replica set that is not the
// primary any more, write concerns that are not met, a full disk for one document.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "mongo/trial.hpp"

namespace {

using namespace mongo_test;

// What it says to a command, as JSON; empty: what a healthy server says.
using Script = std::function<std::string(const std::string& command)>;

class ScriptedServer {
 public:
  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(listener_, 16) != 0)
      throw std::runtime_error("listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    stop_ = true;
    thread_.join();
    for (const int fd : connections_) ::close(fd);
    ::close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  mongo::Options options() const {
    mongo::Options options;
    options.uri = "mongodb://127.0.0.1:" + std::to_string(port_) + "/scripted";
    options.connect_timeout = Milliseconds(30'000);
    return options;
  }
  int count(const std::string& command) const {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(std::ranges::count(seen_, command));
  }
  // What the command said, each time that it came.
  std::vector<mongo::Document> sent(const std::string& command) const {
    const std::lock_guard lock(mutex_);
    std::vector<mongo::Document> out;
    for (const auto& [name, bytes] : sent_) {
      if (name != command) continue;
      bson_t document;
      if (!bson_init_static(&document, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size())) continue;
      bson_concat(out.emplace_back().out(), &document);
    }
    return out;
  }

 private:
  void serve() {
    while (!stop_) {
      std::vector<pollfd> waiting{{.fd = listener_, .events = POLLIN, .revents = 0}};
      for (const int fd : connections_) waiting.push_back({.fd = fd, .events = POLLIN, .revents = 0});
      if (::poll(waiting.data(), waiting.size(), 20) <= 0) continue;
      if (waiting[0].revents != 0) connections_.push_back(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
      for (std::size_t i = 1; i < waiting.size(); ++i) {
        if (waiting[i].revents == 0 || answer(waiting[i].fd)) continue;
        ::close(waiting[i].fd);
        std::erase(connections_, waiting[i].fd);
      }
    }
  }

  static bool read_all(int fd, char* to, std::size_t size) {
    for (std::size_t got = 0; got < size;) {
      const auto now = ::recv(fd, to + got, size - got, 0);
      if (now <= 0) return false;
      got += static_cast<std::size_t>(now);
    }
    return true;
  }

  // One message: OP_QUERY (2004) of a handshake, or OP_MSG (2013).
  bool answer(int fd) {
    std::array<std::int32_t, 4> header{};
    if (!read_all(fd, reinterpret_cast<char*>(header.data()), sizeof header)) return false;
    std::string body(static_cast<std::size_t>(header[0]) - sizeof header, '\0');
    if (!read_all(fd, body.data(), body.size())) return false;
    const bool query = header[3] == 2004;
    // flags, then a name and two numbers, or the byte that announces a document
    const std::size_t at = query ? 4 + std::strlen(body.c_str() + 4) + 1 + 8 : 5;
    bson_t command;
    std::int32_t length = 0;
    std::memcpy(&length, body.data() + at, sizeof length);
    if (!bson_init_static(&command, reinterpret_cast<const std::uint8_t*>(body.data() + at), static_cast<std::size_t>(length)))
      return false;
    bson_iter_t first;
    bson_iter_init(&first, &command);
    bson_iter_next(&first);
    const std::string name = bson_iter_key(&first);
    auto says = script_(name);
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(name);
      sent_.emplace_back(name, body.substr(at, static_cast<std::size_t>(length)));
    }
    const std::string of = BSON_ITER_HOLDS_UTF8(&first) ? bson_iter_utf8(&first, nullptr) : "";
    if (says.empty()) says = healthy(name, of, documents_in(body, at + static_cast<std::size_t>(length), query));
    return send_reply(fd, header[1], query, says);
  }

  // How many documents the kind-1 section behind the command has.
  static int documents_in(const std::string& body, std::size_t at, bool query) {
    if (query || at + 5 >= body.size() || body[at] != 1) return 0;
    std::int32_t size = 0;
    std::memcpy(&size, body.data() + at + 1, sizeof size);
    const auto end = at + 1 + static_cast<std::size_t>(size);
    at += 5 + std::strlen(body.c_str() + at + 5) + 1;
    int count = 0;
    for (std::int32_t one = 0; at < end; at += static_cast<std::size_t>(one), ++count) std::memcpy(&one, body.data() + at, sizeof one);
    return count;
  }

  static std::string healthy(const std::string& name, const std::string& collection, int documents) {
    if (name == "isMaster" || name == "ismaster" || name == "hello") {
      return R"({"ismaster": true, "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 1000, "minWireVersion": 0, "maxWireVersion": 8, "ok": 1})";
    }
    if (name == "find") return R"({"cursor": {"id": {"$numberLong": "0"}, "ns": "scripted.x", "firstBatch": []}, "ok": 1})";
    if (name == "listIndexes") {
      const std::string prefix = collection.ends_with(".chunks") ? "" : "record.";
      return R"({"cursor": {"id": {"$numberLong": "0"}, "ns": "scripted.x", "firstBatch": [)"
             R"({"name": "setget_keys", "key": {"state.keys": 1, "state.stamp": -1}}, {"name": "setget_gone", "key": {"record.gone": 1}},)"
             R"({"name": "setget_purge", "key": {")" +
             prefix + R"(purge_at": 1}, "expireAfterSeconds": 0}]}, "ok": 1})";
    }
    const auto count = std::to_string(documents);
    return R"({"n": )" + count + R"(, "nModified": )" + count + R"(, "ok": 1})";
  }

  static bool send_reply(int fd, std::int32_t to, bool query, const std::string& json) {
    bson_error_t error{};
    bson_t* document = bson_new_from_json(reinterpret_cast<const std::uint8_t*>(json.data()), static_cast<ssize_t>(json.size()), &error);
    if (document == nullptr) throw std::runtime_error(error.message);
    std::string front = query ? std::string(20, '\0') : std::string(5, '\0');
    if (query) front[16] = 1;  // one document
    const std::array<std::int32_t, 4> header{static_cast<std::int32_t>(16 + front.size() + document->len), 1, to, query ? 1 : 2013};
    std::string out(reinterpret_cast<const char*>(header.data()), sizeof header);
    out.append(front).append(reinterpret_cast<const char*>(bson_get_data(document)), document->len);
    bson_destroy(document);
    return ::send(fd, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size());
  }

  Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::vector<int> connections_;
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
  std::vector<std::pair<std::string, std::string>> sent_;  // with their names, as BSON
  std::thread thread_;
};

TEST(MongoScripted, a_server_that_is_not_the_primary_any_more_is_left_and_the_write_repeated) {
  std::atomic<int> refusals{2};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (command == "update" && refusals-- > 0)
      return R"({"ok": 0, "errmsg": "not primary", "code": 10107, "codeName": "NotWritablePrimary"})";
    return {};
  });
  const auto archive = mongo::open(server.options()).value().archive();
  const auto before = server.count("update");
  EXPECT_EQ(written(archive->write({.entries = documents(3, 1)}).value()), 3u);
  EXPECT_GE(server.count("update"), before + 1);
}

TEST(MongoScripted, a_primary_that_never_comes_is_a_retryable_error) {
  std::atomic<bool> down{false};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (down && command == "update")
      return R"({"ok": 0, "errmsg": "node is recovering", "code": 11602, "codeName": "InterruptedDueToReplStateChange"})";
    return {};
  });
  auto with = server.options();
  with.retries = 2;
  const auto archive = mongo::open(with).value().archive();
  down = true;
  const auto before = server.count("update");
  const auto failed = archive->write({.entries = documents(3, 1)});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(failed.error().native_code(), 11602);
  EXPECT_EQ(server.count("update"), before + 3) << "as often as `retries` says";
}

TEST(MongoScripted, a_full_disk_for_one_document_is_that_documents_error) {
  std::atomic<bool> full{false};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (!full || command != "update") return {};
    return R"({"n": 2, "nModified": 2, "writeErrors": [{"index": 1, "code": 14031, "errmsg": "No space left"}], "ok": 1})";
  });
  const auto archive = mongo::open(server.options()).value().archive();
  full = true;
  const auto results = archive->write({.entries = documents(3, 1)}).value();
  EXPECT_TRUE(results[0]);
  ASSERT_FALSE(results[1]);
  EXPECT_EQ(results[1].error().code(), ErrorCode::kOutOfSpace);
  EXPECT_EQ(results[1].error().native_text(), "No space left");
  EXPECT_TRUE(results[2]);
}

// Two upserts of one document at once: the server may let the second one fail.
TEST(MongoScripted, a_duplicate_key_of_an_upsert_is_tried_again_and_not_the_callers) {
  std::atomic<int> refusals{2};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (command != "update" || refusals-- <= 0) return {};
    return R"({"n": 2, "nModified": 2, "writeErrors": [{"index": 1, "code": 11000, "errmsg": "E11000 duplicate key"}], "ok": 1})";
  });
  const auto archive = mongo::open(server.options()).value().archive();
  EXPECT_EQ(written(archive->write({.entries = documents(3, 1)}).value()), 3u);
}

// FerretDB ends a bulk of updates at the first that it refuses, and says nothing of the others.
TEST(MongoScripted, documents_of_which_the_server_says_nothing_are_looked_at) {
  std::atomic<bool> stops{true};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (command != "update" || !stops.exchange(false)) return {};
    return R"({"writeErrors": [{"index": 0, "code": 14031, "errmsg": "No space left"}], "ok": 1})";
  });
  const auto archive = mongo::open(server.options()).value().archive();
  const auto finds = server.count("find");
  const auto results = archive->write({.entries = documents(3, 1)}).value();
  // The first of the bulk, which has them in the order of their _id.
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& one) { return !one && one.error().code() == ErrorCode::kOutOfSpace; }), 1);
  EXPECT_EQ(written(results), 2u);
  EXPECT_EQ(server.count("find"), finds + 2) << "whether there are pieces, and what came of the others";
}

TEST(MongoScripted, a_write_that_the_majority_did_not_confirm_is_not_taken_for_written) {
  std::atomic<bool> alone{false};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (!alone || command != "update") return {};
    return R"({"n": 3, "nModified": 3, "writeConcernError": {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}, "ok": 1})";
  });
  auto with = server.options();
  with.retries = 1;
  const auto archive = mongo::open(with).value().archive();
  alone = true;
  const auto failed = archive->write({.entries = documents(3, 1)});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(failed.error().retryable());
}

// A TTL index is listed by servers that drop nothing by it, too.
TEST(MongoScripted, the_doctor_asks_whether_the_server_drops_by_its_ttl_index) {
  const auto found = [](const std::string& monitor, const std::string& hello = {}) {
    ScriptedServer server([&](const std::string& command) -> std::string {
      if (command == "isMaster") return hello;
      return command == "getParameter" ? monitor : std::string();
    });
    for (const auto& one : mongo::open(server.options()).value().doctor().value())
      if (one.what.find("after their retention") != std::string::npos) return one.what;
    return std::string("nothing");
  };
  const std::string server_does = "MongoDB: the server drops documents after their retention (TTL index)";
  const std::string runs_do = "MongoDB: archive runs drop documents after their retention";
  EXPECT_EQ(found(R"({"ttlMonitorEnabled": true, "ok": 1})"), server_does);
  for (const std::string says : {R"({"ttlMonitorEnabled": false, "ok": 1})", R"({"ok": 1})",
                                 R"({"ok": 0, "errmsg": "no option found to get", "code": 72, "codeName": "InvalidOptions"})",
                                 R"({"ok": 0, "errmsg": "not authorized on admin", "code": 13, "codeName": "Unauthorized"})"}) {
    EXPECT_TRUE(found(says).starts_with(runs_do)) << found(says) << " by " << says;
  }
  // mongos has no monitor; its shards have.
  EXPECT_EQ(
      found(
          R"({"ok": 0, "errmsg": "no option found to get", "code": 72})",
          R"({"ismaster": true, "msg": "isdbgrid", "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 1000, "minWireVersion": 0, "maxWireVersion": 8, "ok": 1})"),
      server_does);
}

TEST(MongoScripted, a_user_without_rights_is_told_at_open) {
  ScriptedServer server([](const std::string& command) -> std::string {
    if (command == "find") return R"({"ok": 0, "errmsg": "not authorized on scripted", "code": 13, "codeName": "Unauthorized"})";
    return {};
  });
  const auto opened = mongo::open(server.options());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_NE(opened.error().message().find("readWrite"), std::string::npos);
}

// What a server with sessions says, which end so soon that the driver does not use one of its own again, and a query of so many answers
// with one document each that is none of the archive's.
std::string in_answers(const std::string& command, int answers, std::atomic<int>& given) {
  if (command == "isMaster" || command == "ismaster" || command == "hello") {
    return R"({"ismaster": true, "logicalSessionTimeoutMinutes": 1, "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 1000, "minWireVersion": 0, "maxWireVersion": 8, "ok": 1})";
  }
  if (command != "find" && command != "getMore") return {};
  const int number = ++given;
  return R"({"cursor": {"id": {"$numberLong": ")" + std::string(number < answers ? "77" : "0") + R"("}, "ns": "scripted.x", ")" +
         (command == "find" ? "firstBatch" : "nextBatch") + R"(": [{"_id": "d)" + std::to_string(number) + R"("}]}, "ok": 1})";
}
std::string session_of(const mongo::Document& command) {
  const auto session = mongo::find(command.raw(), "lsid.id");
  return session ? std::string(session->bytes().value_or("")) : "";
}

TEST(MongoScripted, a_query_goes_on_in_the_session_in_which_it_began) {
  std::atomic<int> given{0};
  std::atomic<bool> asked{false};
  ScriptedServer server([&](const std::string& command) { return asked || command[0] != 'f' ? in_answers(command, 5, given) : ""; });
  const auto archive = mongo::open(server.options()).value().archive();
  (void)archive->load_checkpoint();
  const auto finds = server.sent("find").size();
  asked = true;
  const std::vector<std::uint64_t> starts{0};
  const auto found = archive->digest({.starts = starts, .now = TimePoint{}});
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->at(0).count, 5u) << "what is damaged counts";
  const auto first = server.sent("find");
  const auto more = server.sent("getMore");
  ASSERT_EQ(first.size(), finds + 1);
  ASSERT_EQ(more.size(), 4u);
  EXPECT_FALSE(session_of(first.back()).empty());
  for (const auto& one : more) {
    EXPECT_EQ(session_of(one), session_of(first.back()));
    EXPECT_EQ(mongo::integer_or(one.raw(), "getMore", 0), 77);
    EXPECT_EQ(mongo::text_or_empty(one.raw(), "collection"), "setget_archive");
    EXPECT_EQ(mongo::integer_or(one.raw(), "batchSize", 0), mongo::integer_or(first.back().raw(), "batchSize", -1));
  }
  EXPECT_EQ(server.count("killCursors"), 0);
}

TEST(MongoScripted, a_query_that_is_given_up_is_taken_from_the_server) {
  std::atomic<int> given{0};
  std::atomic<bool> asked{false};
  ScriptedServer server([&](const std::string& command) { return asked || command[0] != 'f' ? in_answers(command, 5, given) : ""; });
  const auto archive = mongo::open(server.options()).value().archive();
  (void)archive->load_checkpoint();
  asked = true;
  int times = 0;
  const std::vector<std::uint64_t> starts{0};
  const auto found = archive->digest({.starts = starts, .now = TimePoint{}, .go_on = [&]() -> Result<void> {
                                        if (++times < 3) return {};
                                        return Error(ErrorCode::kCancelled, "enough");
                                      }});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(server.count("getMore"), 2);
  const auto killed = server.sent("killCursors");
  ASSERT_EQ(killed.size(), 1u);
  EXPECT_EQ(mongo::text_or_empty(killed[0].raw(), "killCursors"), "setget_archive");
  EXPECT_EQ(mongo::integer_or(killed[0].raw(), "cursors.0", 0), 77);
  EXPECT_EQ(session_of(killed[0]), session_of(server.sent("find").back()));
}

TEST(MongoScripted, a_query_that_the_server_dropped_begins_again) {
  std::atomic<int> given{0};
  std::atomic<bool> asked{false};
  std::atomic<int> drops{2};
  ScriptedServer server([&](const std::string& command) -> std::string {
    if (command == "getMore" && drops-- > 0) {
      given = 0;
      return R"({"ok": 0, "errmsg": "cursor id 77 not found", "code": 43, "codeName": "CursorNotFound"})";
    }
    return asked || command[0] != 'f' ? in_answers(command, 3, given) : "";
  });
  const auto archive = mongo::open(server.options()).value().archive();
  (void)archive->load_checkpoint();
  asked = true;
  const std::vector<std::uint64_t> starts{0};
  const auto found = archive->digest({.starts = starts, .now = TimePoint{}});
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->at(0).count, 3u) << "nothing of a try that failed is in it";
}

TEST(MongoScripted, an_answer_without_documents_is_an_error_and_not_an_empty_archive) {
  std::atomic<bool> asked{false};
  ScriptedServer server([&](const std::string& command) -> std::string { return asked && command == "find" ? R"({"ok": 1})" : ""; });
  auto with = server.options();
  with.retries = 0;
  const auto archive = mongo::open(with).value().archive();
  (void)archive->load_checkpoint();
  asked = true;
  const std::vector<std::uint64_t> starts{0};
  const auto found = archive->digest({.starts = starts, .now = TimePoint{}});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kUnavailable);
}

}  // namespace
