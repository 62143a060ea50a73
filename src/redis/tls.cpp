// TLS by OpenSSL: at least 1.2, the certificate checked against the host name unless told otherwise.
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <mutex>

#include "redis/errors.hpp"
#include "redis/transport.hpp"

namespace setget::inline v0::redis {
namespace {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* thing) const noexcept {
    Free(thing);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freed<&SSL_free>>;

std::string openssl_words() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "the connection was closed";
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? fmt::format("OpenSSL error {:#x}", code) : reason;
}

int socket_of(BIO* bio) noexcept { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int bio_write(BIO* bio, const char* bytes, int count) {
  BIO_clear_retry_flags(bio);
  const auto moved = detail::socket_write(socket_of(bio), {bytes, static_cast<std::size_t>(count)});
  if (moved.state == Moved::State::kSome) return static_cast<int>(moved.bytes);
  if (moved.state == Moved::State::kBlocked) BIO_set_retry_write(bio);
  return -1;
}

int bio_read(BIO* bio, char* bytes, int count) {
  BIO_clear_retry_flags(bio);
  const auto moved = detail::socket_read(socket_of(bio), {bytes, static_cast<std::size_t>(count)});
  if (moved.state == Moved::State::kSome) return static_cast<int>(moved.bytes);
  if (moved.state == Moved::State::kBlocked) BIO_set_retry_read(bio);
  return moved.state == Moved::State::kBlocked ? -1 : 0;
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE in the host.
const BIO_METHOD* bio_method() {
  static const BIO_METHOD* const method = [] {
    auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "setget socket");
    BIO_meth_set_write(made, &bio_write);
    BIO_meth_set_read(made, &bio_read);
    BIO_meth_set_ctrl(made, &bio_control);
    return made;
  }();
  return method;
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(int socket, Session session) noexcept : Transport(socket), session_(std::move(session)) {}

  Moved read(std::span<char> into) override {
    const std::scoped_lock lock(mutex_);
    std::size_t got = 0;
    ERR_clear_error();  // SSL_get_error looks at this thread's queue
    const int done = SSL_read_ex(session_.get(), into.data(), into.size(), &got);
    return moved(done, got);
  }
  Moved write(std::string_view bytes) override {
    if (bytes.empty()) return {.state = Moved::State::kSome};
    const std::scoped_lock lock(mutex_);
    std::size_t sent = 0;
    ERR_clear_error();
    const int done = SSL_write_ex(session_.get(), bytes.data(), bytes.size(), &sent);
    return moved(done, sent);
  }
  bool holds_bytes() const noexcept override {
    const std::scoped_lock lock(mutex_);
    return SSL_has_pending(session_.get()) != 0;
  }
  // What lies in the socket may be for TLS alone: tickets for later sessions, or word that this one is over.
  Idle look() override {
    const auto raw = Transport::look();
    if (raw == Idle::kGone || (raw == Idle::kQuiet && !holds_bytes())) return raw;
    const std::scoped_lock lock(mutex_);
    char byte = 0;
    std::size_t got = 0;
    ERR_clear_error();
    const int done = SSL_peek_ex(session_.get(), &byte, 1, &got);
    if (done > 0) return Idle::kBytes;
    return moved(done, got).state == Moved::State::kClosed ? Idle::kGone : Idle::kQuiet;
  }

  Result<void> handshake(const std::string& host, Deadline deadline) {
    for (;;) {
      ERR_clear_error();
      const int done = SSL_connect(session_.get());
      if (done == 1) return {};
      const int state = SSL_get_error(session_.get(), done);
      const bool to_read = state == SSL_ERROR_WANT_READ;
      if (!to_read && state != SSL_ERROR_WANT_WRITE) return refused(host);
      const auto ready = wait(to_read, !to_read, -1, deadline);
      if (!ready.readable && !ready.writable)
        return connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, "the TLS handshake with " + host + " took too long");
    }
  }

 private:
  Error refused(const std::string& host) const {
    // There is a verdict also where nobody asked for one, and then it is not what ended the handshake.
    const auto verdict = SSL_get_verify_mode(session_.get()) == SSL_VERIFY_NONE ? X509_V_OK : SSL_get_verify_result(session_.get());
    if (verdict == X509_V_OK)
      return connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, "the TLS handshake with " + host + " failed", openssl_words());
    ERR_clear_error();
    return connection_error(
        ErrorCode::kFailedPrecondition, Trouble::kNotSent,
        fmt::format("the certificate of {} is not to be trusted; name its authority with ?ca=, or its name with ?server_name=", host),
        X509_verify_cert_error_string(verdict));
  }

  Moved moved(int done, std::size_t bytes) {
    if (done > 0) return {.state = Moved::State::kSome, .bytes = bytes};
    switch (SSL_get_error(session_.get(), done)) {
      case SSL_ERROR_WANT_READ:
        return {};
      case SSL_ERROR_WANT_WRITE:
        return {.needs_write = true};
      case SSL_ERROR_ZERO_RETURN:
        return {.state = Moved::State::kClosed, .why = "the server closed the connection"};
      default:
        return {.state = Moved::State::kClosed, .why = openssl_words()};
    }
  }

  mutable std::mutex mutex_;  // an SSL object is for one thread at a time; nothing under it blocks
  Session session_;
};

class OpenSslContext final : public TlsContext {
 public:
  OpenSslContext(Context context, TlsSettings settings) noexcept : context_(std::move(context)), settings_(std::move(settings)) {}

  Result<std::unique_ptr<Transport>> secure(int socket, const std::string& host, Deadline deadline) override {
    const auto& name = settings_.server_name.empty() ? host : settings_.server_name;
    Session session(SSL_new(context_.get()));
    auto* ssl = session.get();
    auto stream = std::make_unique<TlsTransport>(socket, std::move(session));
    auto* bio = BIO_new(bio_method());
    if (ssl == nullptr || bio == nullptr)
      return connection_error(ErrorCode::kUnavailable, Trouble::kNotSent, "OpenSSL has no memory", openssl_words());
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a BIO's data is a pointer, and a socket is all that this one needs
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    auto* rules = SSL_get0_param(ssl);
    // An address in the certificate is another field than a name, and addresses take no SNI.
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) != 1) {
      ERR_clear_error();
      SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      if (SSL_set1_host(ssl, name.c_str()) != 1 || SSL_set_tlsext_host_name(ssl, name.c_str()) != 1)
        return connection_error(ErrorCode::kInvalidArgument, Trouble::kNotSent, "not a name for TLS: " + name, openssl_words());
    }
    if (auto done = stream->handshake(host, deadline); !done) return std::move(done).error();
    return std::unique_ptr<Transport>(std::move(stream));
  }

 private:
  Context context_;
  TlsSettings settings_;
};

Error unusable(std::string_view field, const std::string& file) {
  return Error(ErrorCode::kInvalidArgument, fmt::format("cannot use the file {} for TLS", file))
      .at_field(fmt::format("uri.{}", field))
      .from(ErrorSource::kRedis, static_cast<int>(Trouble::kRefused), openssl_words());
}

}  // namespace

TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::create(const TlsSettings& settings) {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()));
  auto* ctx = context.get();
  if (ctx == nullptr) return Error(ErrorCode::kInternal, "OpenSSL cannot start").from(ErrorSource::kRedis, 0, openssl_words());
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  // A write that blocked goes on from a buffer that may have moved or grown since.
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(ctx, settings.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (!settings.ca.empty()) {
    if (SSL_CTX_load_verify_file(ctx, settings.ca.c_str()) != 1) return unusable("ca", settings.ca);
  } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
    return unusable("ca", "of the system");
  }
  if (!settings.cert.empty()) {
    if (SSL_CTX_use_certificate_chain_file(ctx, settings.cert.c_str()) != 1) return unusable("cert", settings.cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, settings.key.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
      return unusable("key", settings.key);
  }
  return std::shared_ptr<TlsContext>(std::make_shared<OpenSslContext>(std::move(context), settings));
}

}  // namespace setget::inline v0::redis
