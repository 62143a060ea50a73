#include "bench/redis_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "bench/load.hpp"
#include "tests/support/hiredis.hpp"

namespace bench {

namespace {

using redis_test::HiredisReply;

constexpr std::size_t kBatch = 256;
constexpr std::size_t kThreads = 2;
constexpr std::uint64_t kKeySpace = 100'000;  // of redis-benchmark -r

[[noreturn]] void become(const std::vector<std::string>& command, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<char*> words;
  for (const auto& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(out >= 0 ? out : nothing, STDOUT_FILENO);
  ::dup2(nothing, STDERR_FILENO);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

HiredisReply checked(redisContext* context, void* reply, const char* what) {
  HiredisReply owned(static_cast<redisReply*>(reply));
  if (!owned) fail(std::string(what) + ": " + context->errstr);
  if (owned->type == REDIS_REPLY_ERROR) fail(std::string(what) + ": " + owned->str);
  return owned;
}

std::string benchmark_key(std::uint64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "key:%012llu", static_cast<unsigned long long>(n));
  return text;
}

std::string ulid(std::uint64_t n) {
  static constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string text = "01K";
  Sequence random{n};
  for (std::uint64_t bits = 0; text.size() < 26; bits >>= 5) {
    if (bits < 32) bits = random.next();
    text += kAlphabet[bits & 31];
  }
  return text;
}

}  // namespace

std::optional<std::string> output_of(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  const pid_t child = ::fork();
  if (child == 0) become(command, ends[1]);
  ::close(ends[1]);
  std::string text;
  char bytes[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], bytes, sizeof bytes)) > 0;) text.append(bytes, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) return {};
  return text;
}

bool is_installed(const std::string& program) { return output_of({"sh", "-c", "command -v " + program}).has_value(); }

Program::Program(const std::vector<std::string>& command) : pid_(::fork()) {
  if (pid_ == 0) become(command, -1);
  if (pid_ < 0) fail("fork");
}

Program::~Program() {
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("no free port");
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

RedisServer::RedisServer(const Settings& settings)
    : port_(free_port()),
      program_({"redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                std::filesystem::absolute(settings.folder).string(), "--logfile", "redis.log"}) {
  const auto start = Clock::now();
  while (true) {
    context_ = redisConnect("127.0.0.1", port_);
    if (context_ != nullptr && context_->err == 0) return;
    if (context_ != nullptr) redisFree(context_);
    if (seconds_since(start) > 10) fail("redis-server did not start; is it installed?");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

RedisServer::~RedisServer() { redisFree(context_); }

void RedisServer::flush() { checked(context_, redisCommand(context_, "FLUSHALL"), "FLUSHALL"); }

std::uint64_t RedisServer::used_memory() {
  const auto info = checked(context_, redisCommand(context_, "INFO memory"), "INFO");
  const std::string_view text(info->str, info->len);
  constexpr std::string_view kName = "\nused_memory:";
  return std::strtoull(text.substr(text.find(kName) + kName.size()).data(), nullptr, 10);
}

void RedisServer::fill(std::uint64_t count, const std::function<std::string(std::uint64_t)>& key,
                       const std::function<std::string_view(std::uint64_t)>& value) {
  for (std::uint64_t n = 0; n < count;) {
    const auto end = std::min(count, n + 512);
    std::uint64_t sent = 0;
    for (; n < end; ++n, ++sent) {
      const auto name = key(n);
      const auto bytes = value(n);
      redisAppendCommand(context_, "SET %b %b", name.data(), name.size(), bytes.data(), bytes.size());
    }
    for (; sent > 0; --sent) {
      void* reply = nullptr;
      if (redisGetReply(context_, &reply) != REDIS_OK) reply = nullptr;
      checked(context_, reply, "SET");
    }
  }
}

std::size_t RedisServer::get(const std::string& key) {
  const auto reply = checked(context_, redisCommand(context_, "GET %b", key.data(), key.size()), "GET");
  return reply->len;
}

double RedisServer::measure(std::vector<std::string> command, std::size_t bytes, double seconds) const {
  // About as many as the server does in that time here: what counts is the rate.
  const auto requests = static_cast<std::uint64_t>((bytes <= 1024 ? 300'000 : 80'000) * seconds);
  std::vector<std::string> words = {"redis-benchmark",         "-p", std::to_string(port_),    "-P",   "64", "-c", "50", "-r",
                                    std::to_string(kKeySpace), "-n", std::to_string(requests), "--csv"};
  words.insert(words.end(), command.begin(), command.end());
  const auto printed = output_of(words);
  // The last line: "the command, payload and all","rps" and six more figures.
  std::size_t at = printed ? printed->rfind('"') : std::string::npos;
  for (int fields = 0; fields < 7 && at != std::string::npos && at > 0; ++fields) at = printed->rfind("\",\"", at - 1);
  if (at == std::string::npos) fail("redis-benchmark printed no figures");
  return std::strtod(printed->c_str() + at + 3, nullptr);
}

double RedisServer::measure_sets(std::size_t bytes, double seconds) {
  flush();
  return measure({"SET", "key:__rand_int__", std::string(sized_payload(0, bytes)), "EX", "3600"}, bytes, seconds);
}

double RedisServer::measure_gets(std::size_t bytes, double seconds) {
  flush();
  fill(kKeySpace, benchmark_key, [&](std::uint64_t n) { return sized_payload(n, bytes); });
  return measure({"GET", "key:__rand_int__"}, bytes, seconds);
}

std::string_view sized_payload(std::uint64_t n, std::size_t bytes) {
  if (bytes == kPayloadBytes) return payload(n);
  static std::map<std::size_t, std::vector<std::string>> pools;
  auto& pool = pools[bytes];
  while (pool.size() < 256) {
    std::string text = "[";
    for (std::uint64_t i = 0; text.size() + kPayloadBytes + 2 <= bytes; ++i) text += payload(pool.size() * 7 + i) + ",";
    text += "0";
    text.append(bytes - 1 - text.size(), ' ');
    pool.push_back(text + "]");
  }
  return pool[n % pool.size()];
}

std::string record_key(std::uint64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "order-%012llu", static_cast<unsigned long long>(n));
  return text;
}

std::vector<setget::ApplyEntry> make_entries(const Shape& shape, std::size_t count, std::size_t first) {
  static constexpr const char* kMore[] = {"", "/crm", "/shop", "/mail"};
  const auto now = setget::system_clock()->now();
  std::vector<setget::ApplyEntry> entries;
  entries.reserve(count);
  for (std::size_t n = first; n < first + count; ++n) {
    std::vector<std::string> keys;
    for (std::size_t k = 0; k < shape.keys; ++k) keys.push_back(record_key(n) + kMore[k]);
    setget::Command command;
    command.id = shape.inline_id ? keys[0] : ulid(n);
    command.keys = setget::KeyList(std::span<const std::string>(keys));
    command.account = "bench";
    command.flow = "orders";
    command.content_type = "application/json";
    command.payload = sized_payload(n, shape.bytes);
    setget::ApplyEntry entry;
    entry.encoded = setget::encode_command(command);
    entry.command = must(setget::decode_command(entry.encoded), "decoding a command");
    entry.stamp = setget::stamp_at(now) + n + 1;
    if (shape.indexed) {
      entry.listed = true;
      entry.expires_at = now + std::chrono::hours(1) + setget::Milliseconds(n);
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

setget::redis::Database open_fresh(RedisServer& server, const std::string& options) {
  server.flush();
  return must(setget::redis::open({.uri = server.uri(options), .prefix = "bench"}), "opening the store");
}

double apply_all(setget::redis::Database& database, std::span<const setget::ApplyEntry> entries) {
  const auto backend = database.key_store().backend();
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    while (true) {
      const auto from = next.fetch_add(kBatch);
      if (from >= entries.size()) return;
      const auto batch = entries.subspan(from, std::min(kBatch, entries.size() - from));
      for (auto& result : must(backend->apply({.entries = batch, .now = setget::system_clock()->now()}), "apply")) {
        if (must(std::move(result), "apply").outcome != setget::Outcome::kApplied) fail("a fresh record was not applied");
      }
    }
  };
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  return static_cast<double>(entries.size()) / seconds_since(start);
}

}  // namespace bench
