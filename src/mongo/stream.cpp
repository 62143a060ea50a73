#include "mongo/stream.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

namespace setget::inline v0::mongo {
namespace {

// A stream in front of another one. The driver knows it by the functions in `base` only.
struct CappedStream {
  mongoc_stream_t base;
  mongoc_stream_t* inner;
  const Line* line;
  bool out_of_time;
};

// No other stream of the driver has this number.
constexpr int kCappedStream = 0x5e79e7;

CappedStream* self(mongoc_stream_t* stream) { return reinterpret_cast<CappedStream*>(stream); }

// A little more than is left: the driver rounds down, and once it gives up the deadline shall have passed.
std::int32_t left_of(const Line& line, std::int32_t asked) {
  const auto left = std::chrono::ceil<Milliseconds>(line.deadline.left()).count() + 2;
  const auto most = static_cast<std::int32_t>(std::clamp<std::int64_t>(left, 0, 3'600'000));
  return asked < 0 ? most : std::min(asked, most);
}

// False, with errno set, once the deadline has passed.
bool in_time(CappedStream& stream) {
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

// --- what stands for a connection that did not come about -----------------------------------------------------------------------------
// libmongoc before 1.25 locks a mutex that it holds where a connection fails at once while it looks at a server again (its CDRIVER-4666):
// the call would never end. So nothing fails at once: the driver gets a stream that is hung up, and finds that when it polls it.

void destroy_hung_up(mongoc_stream_t* stream) { delete stream; }
int close_hung_up(mongoc_stream_t*) { return 0; }
ssize_t write_hung_up(mongoc_stream_t*, mongoc_iovec_t*, size_t, std::int32_t) {
  errno = ENOTCONN;
  return -1;
}
ssize_t read_hung_up(mongoc_stream_t*, mongoc_iovec_t*, size_t, size_t, std::int32_t) {
  errno = ENOTCONN;
  return -1;
}
int set_option_hung_up(mongoc_stream_t*, int, int, void*, mongoc_socklen_t) { return 0; }
bool is_hung_up(mongoc_stream_t*) { return true; }
bool never(mongoc_stream_t*) { return false; }
ssize_t poll_hung_up(mongoc_stream_poll_t* streams, size_t count, std::int32_t) {
  for (size_t i = 0; i < count; ++i) streams[i].revents = POLLHUP;
  return static_cast<ssize_t>(count);
}

// Where there are no more file descriptors. The driver polls streams of one kind only, so others of the same client wait in vain meanwhile.
mongoc_stream_t* hung_up_without_socket() {
  constexpr int kHungUp = 0x5e79e8;
  auto* stream = new (std::nothrow) mongoc_stream_t{};
  if (stream == nullptr) return nullptr;
  stream->type = kHungUp;
  stream->destroy = stream->failed = destroy_hung_up;
  stream->close = stream->flush = close_hung_up;
  stream->writev = write_hung_up;
  stream->readv = read_hung_up;
  stream->setsockopt = set_option_hung_up;
  stream->check_closed = is_hung_up;
  stream->poll = poll_hung_up;
  stream->timed_out = stream->should_retry = never;
  return stream;
}

mongoc_stream_t* hung_up() {
  // Linux reports a socket that was never connected as hung up.
  mongoc_socket_t* socket = mongoc_socket_new(AF_INET, SOCK_STREAM, 0);
  return socket != nullptr ? mongoc_stream_socket_new(socket) : hung_up_without_socket();
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
  const std::string_view path = host.host;
  if (path.size() >= sizeof(address.sun_path)) return nullptr;
  path.copy(address.sun_path, path.size());
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
mongoc_stream_t* encrypt(mongoc_stream_t* plain, const mongoc_uri_t* uri, const mongoc_host_list_t& host, Line& line) {
  auto tls = tls_of(uri);
  mongoc_stream_t* stream = mongoc_stream_tls_new_with_hostname(plain, host.host, &tls, 1);
  if (stream == nullptr) {
    mongoc_stream_destroy(plain);
    line.trouble = "TLS could not be set up; check the certificate files that the URI names";
    return nullptr;
  }
  const auto wait = std::min(line.connect_timeout, std::chrono::ceil<Milliseconds>(line.deadline.left()));
  bson_error_t error{};
  if (mongoc_stream_tls_handshake_block(stream, host.host, static_cast<std::int32_t>(wait.count()), &error)) return stream;
  line.trouble = error.message;
  mongoc_stream_destroy(stream);
  return nullptr;
}

// Null, with line.trouble set, where there is none.
mongoc_stream_t* connect(const mongoc_uri_t* uri, const mongoc_host_list_t& host, Line& line) {
  line.trouble.clear();
  if (line.deadline.passed()) {
    line.trouble = "no time is left to connect";
    return nullptr;
  }
  mongoc_stream_t* stream = host.family == AF_UNIX ? connect_local(host, line) : connect_over_net(host, line);
  if (stream == nullptr) {
    line.trouble = std::string("cannot connect to ") + host.host_and_port;
    return nullptr;
  }
  int on = 1;
  mongoc_stream_setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  mongoc_stream_setsockopt(stream, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  return mongoc_uri_get_tls(uri) ? encrypt(stream, uri, host, line) : stream;
}

extern "C" mongoc_stream_t* setget_mongo_open_stream(const mongoc_uri_t* uri, const mongoc_host_list_t* host, void* user_data,
                                                     bson_error_t* error) {
  auto& line = *static_cast<Line*>(user_data);
  mongoc_stream_t* stream = connect(uri, *host, line);
  if (stream == nullptr) stream = hung_up();
  if (stream != nullptr) stream = cap(stream, &line);
  if (stream == nullptr) bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "out of memory");
  return stream;
}

}  // namespace

void keep_deadlines(mongoc_client_t* client, Line* line) { mongoc_client_set_stream_initiator(client, setget_mongo_open_stream, line); }

}  // namespace setget::inline v0::mongo
