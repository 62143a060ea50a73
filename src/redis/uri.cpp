#include "redis/uri.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace setget::inline v0::redis {
namespace {

constexpr std::uint16_t kRedisPort = 6379;
constexpr std::uint16_t kSentinelPort = 26379;

Error wrong(std::string_view field, std::size_t at, std::string message) {
  return Error(ErrorCode::kInvalidArgument, std::move(message)).at_field(fmt::format("uri.{}", field)).at_position(at);
}

// A part of the URI that remembers where it stood.
struct Part {
  std::string_view text;
  std::size_t at = 0;

  Part from(std::size_t n) const { return {text.substr(n), at + n}; }
  Part first(std::size_t n) const { return {text.substr(0, n), at}; }
};

// Cuts at the first `mark`: what stands before it, and what after it if it is there at all.
std::optional<Part> cut(Part& part, char mark) {
  const auto found = part.text.find(mark);
  if (found == std::string_view::npos) return std::nullopt;
  const auto rest = part.from(found + 1);
  part = part.first(found);
  return rest;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> decode(std::string_view field, Part part) {
  std::string bytes;
  for (std::size_t i = 0; i < part.text.size(); ++i) {
    if (part.text[i] != '%') {
      bytes += part.text[i];
      continue;
    }
    const int high = i + 2 < part.text.size() ? hex_value(part.text[i + 1]) : -1;
    const int low = i + 2 < part.text.size() ? hex_value(part.text[i + 2]) : -1;
    if (high < 0 || low < 0) return wrong(field, part.at + i, "\"%\" must be followed by two hexadecimal digits");
    bytes += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return bytes;
}

std::optional<std::uint64_t> number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// A number with one of the units; no unit counts once.
template <std::size_t N>
std::optional<std::uint64_t> measure(std::string_view text,
                                     const std::array<std::pair<std::string_view, std::uint64_t>, N>& units) noexcept {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  for (const auto& [unit, factor] : units) {
    if (!text.ends_with(unit)) continue;
    const auto value = number(text.substr(0, text.size() - unit.size()));
    if (value && *value <= kMost / factor) return *value * factor;
  }
  return std::nullopt;
}

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 3> kTimes{{{"ms", 1}, {"s", 1000}, {"", 1}}};
constexpr std::array<std::pair<std::string_view, std::uint64_t>, 4> kSizes{{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}}};

constexpr std::array<std::string_view, 15> kOptions{
    "client_name", "pool", "exclusive", "connect_timeout", "timeout",  "protocol",      "max_reply",        "db",
    "ca",          "cert", "key",       "server_name",     "insecure", "sentinel_user", "sentinel_password"};

// What an error calls an option. A name that is none may be what follows a question mark in a password.
std::string_view field_of(std::string_view name) {
  return std::ranges::find(kOptions, name) != kOptions.end() ? name : std::string_view("options");
}

// One option into the settings; the value is decoded already.
class Options {
 public:
  explicit Options(Settings& settings) noexcept : settings_(settings) {}

  Result<void> set(std::string_view name, std::string value, std::size_t at) {
    name_ = name;
    at_ = at;
    if (name == "client_name") return client_name(std::move(value));
    if (name == "pool") return count(settings_.pool, value, 1, 1024);
    if (name == "exclusive") return count(settings_.exclusive, value, 1, 1024);
    if (name == "connect_timeout") return time(settings_.connect_timeout, value);
    if (name == "timeout") return time(settings_.timeout, value);
    if (name == "protocol") return count(settings_.protocol, value, 2, 3);
    if (name == "db") return count(settings_.database, value, 0, 1'000'000);
    if (name == "max_reply") return size(settings_.max_reply, value);
    if (name == "sentinel_user") return sentinel(settings_.sentinel_user, std::move(value));
    if (name == "sentinel_password") return sentinel(settings_.sentinel_password, std::move(value));
    if (name == "ca") return tls(settings_.tls.ca, std::move(value));
    if (name == "cert") return tls(settings_.tls.cert, std::move(value));
    if (name == "key") return tls(settings_.tls.key, std::move(value));
    if (name == "server_name") return tls(settings_.tls.server_name, std::move(value));
    if (name == "insecure") return insecure(value);
    return bad(fmt::format("unknown option; known are {}", fmt::join(kOptions, ", ")));
  }

 private:
  Error bad(std::string message) const { return wrong(field_of(name_), at_, std::move(message)); }

  Result<void> client_name(std::string value) {
    for (const char c : value) {
      if (c <= ' ' || c > '~') return bad("only visible ASCII without spaces: Redis refuses other client names");
    }
    settings_.client_name = std::move(value);
    return {};
  }
  template <class Number>
  Result<void> count(Number& into, std::string_view value, std::uint64_t least, std::uint64_t most) {
    const auto parsed = number(value);
    if (!parsed || *parsed < least || *parsed > most) return bad(fmt::format("a number from {} to {} is needed", least, most));
    into = static_cast<Number>(*parsed);
    return {};
  }
  Result<void> time(Milliseconds& into, std::string_view value) {
    const auto parsed = measure(value, kTimes);
    if (!parsed || *parsed == 0 || *parsed > 86'400'000) return bad("a time from 1ms to 86400s is needed, as 250ms or 2s");
    into = Milliseconds(static_cast<Milliseconds::rep>(*parsed));
    return {};
  }
  Result<void> size(std::size_t& into, std::string_view value) {
    const auto parsed = measure(value, kSizes);
    if (!parsed || *parsed < 4096 || *parsed > (std::uint64_t{4} << 30)) return bad("a size from 4KiB to 4GiB is needed");
    into = *parsed;
    return {};
  }
  Result<void> sentinel(std::string& into, std::string value) {
    if (settings_.topology != Topology::kSentinel) return bad("only with redis+sentinel:// or rediss+sentinel://");
    into = std::move(value);
    return {};
  }
  Result<void> tls(std::string& into, std::string value) {
    if (!settings_.use_tls) return bad("only with TLS: rediss://, rediss+sentinel:// or rediss+cluster://");
    if (value.empty()) return bad("must not be empty");
    into = std::move(value);
    return {};
  }
  Result<void> insecure(std::string_view value) {
    if (!settings_.use_tls) return bad("only with TLS: rediss://, rediss+sentinel:// or rediss+cluster://");
    if (value != "true" && value != "false") return bad("true or false is needed");
    settings_.tls.insecure = value == "true";
    return {};
  }

  Settings& settings_;
  std::string_view name_;
  std::size_t at_ = 0;
};

struct Scheme {
  std::string_view name;
  Topology topology;
  bool tls;
  bool socket;
};
constexpr std::array<Scheme, 7> kSchemes{{{"redis", Topology::kStandalone, false, false},
                                          {"rediss", Topology::kStandalone, true, false},
                                          {"unix", Topology::kStandalone, false, true},
                                          {"redis+sentinel", Topology::kSentinel, false, false},
                                          {"rediss+sentinel", Topology::kSentinel, true, false},
                                          {"redis+cluster", Topology::kCluster, false, false},
                                          {"rediss+cluster", Topology::kCluster, true, false}}};

class Parser {
 public:
  explicit Parser(std::string_view uri) : rest_{uri, 0} {}

  Result<Settings> run() {
    for (const auto step :
         {&Parser::scheme, &Parser::options_apart, &Parser::credentials, &Parser::hosts, &Parser::path, &Parser::options}) {
      if (auto done = (this->*step)(); !done) return std::move(done).error();
    }
    return std::move(settings_);
  }

 private:
  Result<void> scheme() {
    const auto end = rest_.text.find("://");
    for (const auto& known : kSchemes) {
      if (end == std::string_view::npos || rest_.text.substr(0, end) != known.name) continue;
      scheme_ = &known;
      settings_.topology = known.topology;
      settings_.use_tls = known.tls;
      rest_ = rest_.from(end + 3);
      return {};
    }
    return wrong("scheme", 0,
                 "must be redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster, followed by ://");
  }

  Result<void> options_apart() {
    if (const auto hash = rest_.text.find('#'); hash != std::string_view::npos)
      return wrong("fragment", rest_.at + hash, "a Redis URI has no fragment; write # as %23");
    query_ = cut(rest_, '?');
    return {};
  }

  Result<void> credentials() {
    // The authority ends at the first slash; an @ behind it belongs to a path.
    const auto slash = rest_.text.find('/');
    const auto at = rest_.text.substr(0, slash).rfind('@');
    if (at == std::string_view::npos) return {};
    auto user = rest_.first(at);
    rest_ = rest_.from(at + 1);
    const auto password = cut(user, ':');
    auto decoded = decode("user", user);
    if (!decoded) return std::move(decoded).error();
    settings_.user = *std::move(decoded);
    if (!password) return wrong("password", user.at + user.text.size(), "a user without a password: write user:password@ or :password@");
    decoded = decode("password", *password);
    if (!decoded) return std::move(decoded).error();
    settings_.password = *std::move(decoded);
    if (settings_.password.empty()) return wrong("password", password->at, "must not be empty");
    return {};
  }

  Result<void> hosts() {
    if (scheme_->socket) return socket();
    auto list = rest_;
    path_ = cut(list, '/');
    const bool many = settings_.topology != Topology::kStandalone;
    const auto port = settings_.topology == Topology::kSentinel ? kSentinelPort : kRedisPort;
    for (std::optional<Part> next = list; next;) {
      auto one = *next;
      next = many ? cut(one, ',') : std::nullopt;
      auto endpoint = parse_endpoint(one.text, port, one.at);
      if (!endpoint) return std::move(endpoint).error();
      settings_.endpoints.push_back(*std::move(endpoint));
    }
    return {};
  }

  Result<void> socket() {
    if (!rest_.text.starts_with('/')) return wrong("path", rest_.at, "unix:// needs the absolute path of a socket");
    auto path = decode("path", rest_);
    if (!path) return std::move(path).error();
    constexpr std::size_t kLongest = 107;  // sun_path of Linux without its NUL
    if (path->size() > kLongest || path->find('\0') != std::string::npos)
      return wrong("path", rest_.at, fmt::format("the path of a socket has at most {} bytes and no NUL", kLongest));
    settings_.endpoints.push_back({.socket = *std::move(path)});
    return {};
  }

  Result<void> path() {
    if (settings_.topology == Topology::kSentinel) {
      if (!path_ || path_->text.empty())
        return wrong("master", rest_.at + rest_.text.size(),
                     "the sentinels' name of the master is missing: redis+sentinel://host:port/NAME");
      auto name = *path_;
      path_ = cut(name, '/');
      auto decoded = decode("master", name);
      if (!decoded) return std::move(decoded).error();
      if (decoded->empty()) return wrong("master", name.at, "must not be empty");
      settings_.master = *std::move(decoded);
    }
    if (!path_ || path_->text.empty()) return {};
    return database(path_->text, path_->at);
  }

  Result<void> database(std::string_view text, std::size_t at) {
    const auto value = number(text);
    if (!value || *value > 1'000'000) return wrong("db", at, "the database is a number, as in redis://host:port/2");
    settings_.database = static_cast<std::uint32_t>(*value);
    return {};
  }

  Result<void> options() {
    Options known(settings_);
    std::vector<std::string_view> seen;
    for (auto next = query_; next && !next->text.empty();) {
      auto value = *next;
      next = cut(value, '&');
      auto name = value;
      const auto after = cut(name, '=');
      if (!after) return wrong(field_of(name.text), name.at, "an option needs a value: name=value");
      for (const auto other : seen) {
        if (other == name.text) return wrong(field_of(name.text), name.at, "given twice");
      }
      seen.push_back(name.text);
      auto decoded = decode(field_of(name.text), *after);
      if (!decoded) return std::move(decoded).error();
      if (auto set = known.set(name.text, *std::move(decoded), name.at); !set) return set;
    }
    return consistent();
  }

  Result<void> consistent() const {
    if (settings_.tls.cert.empty() != settings_.tls.key.empty())
      return wrong(settings_.tls.cert.empty() ? "cert" : "key", 0, "cert and key are only of use together");
    if (settings_.topology == Topology::kCluster && settings_.database != 0) return wrong("db", 0, "a cluster has only database 0");
    return {};
  }

  Part rest_;
  const Scheme* scheme_ = nullptr;
  std::optional<Part> query_;
  std::optional<Part> path_;
  Settings settings_;
};

}  // namespace

std::string Endpoint::text() const {
  if (!socket.empty()) return "unix:" + socket;
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port, std::size_t offset) {
  Endpoint endpoint;
  endpoint.port = default_port;
  std::string_view port;
  std::size_t port_at = 0;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong("host", offset, R"("[" without "]")");
    endpoint.host = text.substr(1, close - 1);
    if (close + 1 < text.size() && text[close + 1] != ':') return wrong("host", offset + close + 1, R"(only :port may follow "]")");
    port_at = close + 1;
  } else {
    port_at = std::min(text.find(':'), text.size());
    endpoint.host = text.substr(0, port_at);
  }
  if (endpoint.host.empty()) return wrong("host", offset, "a host is missing");
  for (const char c : endpoint.host) {
    if (c <= ' ' || c > '~' || c == '%' || c == '@' || c == ',')
      return wrong("host", offset, "a host has only letters, digits, dots, hyphens and underscores, or is an IPv6 address in brackets");
  }
  if (port_at < text.size()) {
    port = text.substr(port_at + 1);
    const auto value = number(port);
    if (!value || *value == 0 || *value > 65535) return wrong("port", offset + port_at + 1, "a port is a number from 1 to 65535");
    endpoint.port = static_cast<std::uint16_t>(*value);
  }
  return endpoint;
}

Result<Settings> parse_uri(std::string_view uri) { return Parser(uri).run(); }

std::string describe(const Settings& settings) {
  std::string text;
  for (const auto& scheme : kSchemes) {
    const bool socket = !settings.endpoints.empty() && !settings.endpoints.front().socket.empty();
    if (scheme.topology == settings.topology && scheme.tls == settings.use_tls && scheme.socket == socket) {
      text = fmt::format("{}://", scheme.name);
      break;
    }
  }
  if (!settings.user.empty()) text += settings.user + "@";
  for (std::size_t i = 0; i < settings.endpoints.size(); ++i) {
    const auto& endpoint = settings.endpoints[i];
    text += fmt::format("{}{}", i == 0 ? "" : ",", endpoint.socket.empty() ? endpoint.text() : endpoint.socket);
  }
  if (settings.topology == Topology::kSentinel) text += "/" + settings.master;
  if (settings.database != 0) text += fmt::format("{}{}", text.starts_with("unix") ? "?db=" : "/", settings.database);
  return text;
}

}  // namespace setget::inline v0::redis
