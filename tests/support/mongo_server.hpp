// Servers that speak MongoDB's wire protocol, for tests: the one that SETGET_TEST_MONGODB_URI names; else mongod where it is on PATH; else
// both mongo-java-server and FerretDB, which tests/mongo/servers/prepare fetches. Started by the test itself on free loopback ports with
// their data in a temporary folder, stopped by their process ids. Thread rule: one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <setget/clock.hpp>
#include <setget/mongo.hpp>

namespace mongo_test {

enum class Kind : std::uint8_t { kNamed, kMongod, kJava, kFerret };
std::string name_of(Kind kind);
// What a server of ours is started for: tests, or benches, which give it the memory that a server has.
enum class Size : std::uint8_t { kSmall, kLarge };
// Of the processors: as much as others, or what nobody else wants (SCHED_IDLE, sched(7)).
enum class Share : std::uint8_t { kUsual, kIdle };
inline void PrintTo(Kind kind, std::ostream* out) { *out << name_of(kind); }

// The servers that these tests are for, whether or not they can be had.
std::vector<Kind> kinds();
// Those of them that can be killed and started again.
std::vector<Kind> own_kinds();
// Why a server cannot be had; empty = it can. With CI=true in the environment mongo-java-server must be there.
std::string missing(Kind kind);
// True where missing(kind) is a failure and not a skip.
bool required(Kind kind);

#define SETGET_REQUIRE_MONGO(kind)                                    \
  do {                                                                \
    if (const auto why = ::mongo_test::missing(kind); !why.empty()) { \
      if (::mongo_test::required(kind)) FAIL() << why;                \
      GTEST_SKIP() << why;                                            \
    }                                                                 \
  } while (false)

bool eventually(const std::function<bool()>& what, setget::Milliseconds within = setget::Milliseconds(30'000));

class MongoServer {
 public:
  explicit MongoServer(Kind kind, Size size = Size::kSmall, Share share = Share::kUsual);
  ~MongoServer();
  MongoServer(const MongoServer&) = delete;
  MongoServer& operator=(const MongoServer&) = delete;

  Kind kind() const noexcept { return kind_; }
  // On the same port with the same data; returns once it takes connections. The constructor does it too. Not for the named one.
  void start();
  // SIGKILL, and waits for the end.
  void kill();
  // SIGSTOP and SIGCONT.
  void pause();
  void resume();

  std::uint16_t port() const noexcept { return port_; }
  // "mongodb://127.0.0.1:PORT/DATABASE", or through another port that leads there.
  std::string uri(const std::string& database, std::uint16_t by_port = 0) const;
  // Options for an archive on it: what this kind of server needs, and a collection of its own for each call.
  setget::mongo::Options options(std::uint16_t by_port = 0) const;

 private:
  std::string log() const;
  Kind kind_;
  Size size_;
  Share share_;
  std::string folder_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// One for all tests of a program, started when first asked for.
MongoServer& shared_server(Kind kind);

}  // namespace mongo_test
