#include "mongo/stream.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace setget::inline v0::mongo {
namespace {

// A stream in front of another one. The driver knows it by the functions in `base` only.
struct CappedStream {
  mongoc_stream_t base;
  mongoc_stream_t* inner;
  const Line* line;
  bool out_of_time;
  bool dead;  // it never connected
};

// No other stream of the driver has this number.
constexpr int kCappedStream = 0x5e79e7;

CappedStream* self(mongoc_stream_t* stream) { return reinterpret_cast<CappedStream*>(stream); }

std::int32_t left_of(const Line& line, std::int32_t asked) {
  const auto left = std::chrono::ceil<Milliseconds>(line.deadline.left()).count();
  const auto most = static_cast<std::int32_t>(std::clamp<std::int64_t>(left, 0, 3'600'000));
  return asked < 0 ? most : std::min(asked, most);
}

// False, with errno set, once the deadline has passed, and for a stream that is dead.
bool in_time(CappedStream& stream) {
  if (stream.dead) {
    errno = ENOTCONN;
    return false;
  }
  if (!stream.line->deadline.passed()) return true;
  stream.out_of_time = true;
  errno = ETIMEDOUT;
  return false;
}

void destroy(mongoc_stream_t* stream) {
  mongoc_stream_destroy(self(stream)->inner);
  delete self(stream);
}
void failed(mongoc_stream_t* stream) {
  mongoc_stream_failed(self(stream)->inner);
  delete self(stream);
}
int close(mongoc_stream_t* stream) { return mongoc_stream_close(self(stream)->inner); }
int flush(mongoc_stream_t* stream) { return mongoc_stream_flush(self(stream)->inner); }
ssize_t writev(mongoc_stream_t* stream, mongoc_iovec_t* parts, size_t count, std::int32_t timeout) {
  auto& capped = *self(stream);
  if (!in_time(capped)) return -1;
  return mongoc_stream_writev(capped.inner, parts, count, left_of(*capped.line, timeout));
}
ssize_t readv(mongoc_stream_t* stream, mongoc_iovec_t* parts, size_t count, size_t least, std::int32_t timeout) {
  auto& capped = *self(stream);
  if (!in_time(capped)) return -1;
  return mongoc_stream_readv(capped.inner, parts, count, least, left_of(*capped.line, timeout));
}
int set_option(mongoc_stream_t* stream, int level, int name, void* value, mongoc_socklen_t length) {
  return mongoc_stream_setsockopt(self(stream)->inner, level, name, value, length);
}
mongoc_stream_t* inner_of(mongoc_stream_t* stream) { return self(stream)->inner; }
bool check_closed(mongoc_stream_t* stream) { return mongoc_stream_check_closed(self(stream)->inner); }
bool timed_out(mongoc_stream_t* stream) { return self(stream)->out_of_time || mongoc_stream_timed_out(self(stream)->inner); }
bool should_retry(mongoc_stream_t* stream) { return !self(stream)->out_of_time && mongoc_stream_should_retry(self(stream)->inner); }

mongoc_stream_t* cap(mongoc_stream_t* inner, const Line* line) {
  auto* capped = new (std::nothrow) CappedStream{};
  if (capped == nullptr) {
    mongoc_stream_destroy(inner);
    return nullptr;
  }
  auto& base = capped->base;
  base.type = kCappedStream;
  base.destroy = destroy;
  base.close = close;
  base.flush = flush;
  base.writev = writev;
  base.readv = readv;
  base.setsockopt = set_option;
  base.get_base_stream = inner_of;  // the driver polls the stream at the bottom
  base.check_closed = check_closed;
  base.failed = failed;
  base.timed_out = timed_out;
  base.should_retry = should_retry;
  capped->inner = inner;
  capped->line = line;
  return &base;
}

// What stands for a connection that did not come about: its first write fails. libmongoc before 1.24.4 locks a mutex twice and hangs for
// ever if it gets no stream at all while it retries a failed handshake (CDRIVER-4666).
mongoc_stream_t* dead_stream(const Line* line) {
  mongoc_socket_t* socket = mongoc_socket_new(AF_INET, SOCK_STREAM, 0);
  mongoc_stream_t* inner = socket == nullptr ? nullptr : mongoc_stream_socket_new(socket);
  mongoc_stream_t* stream = inner == nullptr ? nullptr : cap(inner, line);
  if (stream != nullptr) {
    self(stream)->dead = true;
    self(stream)->out_of_time = line->deadline.passed();
  }
  return stream;
}

void complain(bson_error_t* error, std::uint32_t code, const std::string& text) {
  bson_set_error(error, MONGOC_ERROR_STREAM, code, "%s", text.c_str());
}

mongoc_stream_t* connect_to(const sockaddr* address, socklen_t length, const Line& line) {
  mongoc_socket_t* socket = mongoc_socket_new(address->sa_family, SOCK_STREAM, 0);
  if (socket == nullptr) return nullptr;
  const auto wait = std::min(line.connect_timeout, std::chrono::ceil<Milliseconds>(line.deadline.left()));
  if (mongoc_socket_connect(socket, address, length, bson_get_monotonic_time() + wait.count() * 1000) != 0) {
    mongoc_socket_destroy(socket);
    return nullptr;
  }
  return mongoc_stream_socket_new(socket);
}

mongoc_stream_t* connect_local(const mongoc_host_list_t& host, const Line& line) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(host.host) >= sizeof(address.sun_path)) return nullptr;
  std::strcpy(address.sun_path, host.host);
  return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof(address), line);
}

mongoc_stream_t* connect_over_net(const mongoc_host_list_t& host, const Line& line) {
  addrinfo wanted{};
  wanted.ai_family = host.family == AF_INET6 ? AF_INET6 : AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.host, std::to_string(host.port).c_str(), &wanted, &found) != 0) return nullptr;
  mongoc_stream_t* stream = nullptr;
  for (const auto* at = found; at != nullptr && stream == nullptr && !line.deadline.passed(); at = at->ai_next) {
    stream = connect_to(at->ai_addr, at->ai_addrlen, line);
  }
  ::freeaddrinfo(found);
  return stream;
}

// What the URI says about TLS; the strings are the URI's.
mongoc_ssl_opt_t tls_of(const mongoc_uri_t* uri) {
  mongoc_ssl_opt_t tls{};
  tls.pem_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, nullptr);
  tls.pem_pwd = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, nullptr);
  tls.ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, nullptr);
  const bool insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
  tls.weak_cert_validation = insecure || mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, false);
  tls.allow_invalid_hostname = insecure || mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, false);
  return tls;
}

// Takes `plain`.
mongoc_stream_t* encrypt(mongoc_stream_t* plain, const mongoc_uri_t* uri, const mongoc_host_list_t& host, const Line& line,
                         bson_error_t* error) {
  auto tls = tls_of(uri);
  mongoc_stream_t* stream = mongoc_stream_tls_new_with_hostname(plain, host.host, &tls, 1);
  if (stream == nullptr) {
    mongoc_stream_destroy(plain);
    complain(error, MONGOC_ERROR_STREAM_SOCKET, "TLS could not be set up; check the certificate files that the URI names");
    return nullptr;
  }
  const auto wait = std::min(line.connect_timeout, std::chrono::ceil<Milliseconds>(line.deadline.left()));
  if (mongoc_stream_tls_handshake_block(stream, host.host, static_cast<std::int32_t>(wait.count()), error)) return stream;
  mongoc_stream_destroy(stream);
  return nullptr;
}

extern "C" mongoc_stream_t* setget_mongo_open_stream(const mongoc_uri_t* uri, const mongoc_host_list_t* host, void* user_data,
                                                     bson_error_t* error) {
  const auto& line = *static_cast<const Line*>(user_data);
  if (line.deadline.passed()) {
    complain(error, MONGOC_ERROR_STREAM_CONNECT, "no time is left to connect");
    return dead_stream(&line);
  }
  mongoc_stream_t* stream = host->family == AF_UNIX ? connect_local(*host, line) : connect_over_net(*host, line);
  if (stream == nullptr) {
    complain(error, MONGOC_ERROR_STREAM_CONNECT, std::string("cannot connect to ") + host->host_and_port);
    return dead_stream(&line);
  }
  int on = 1;
  mongoc_stream_setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  mongoc_stream_setsockopt(stream, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  if (mongoc_uri_get_tls(uri)) stream = encrypt(stream, uri, *host, line, error);
  return stream == nullptr ? dead_stream(&line) : cap(stream, &line);
}

}  // namespace

void keep_deadlines(mongoc_client_t* client, Line* line) { mongoc_client_set_stream_initiator(client, setget_mongo_open_stream, line); }

}  // namespace setget::inline v0::mongo
