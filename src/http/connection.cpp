#include "http/connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <exception>
#include <new>
#include <utility>

#include "http/hot_gets.hpp"
#include "http/response.hpp"

namespace setget::inline v0::detail {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 16'384;
constexpr std::size_t kBodyStep = 256u << 10;  // a body's buffer grows ahead of what has arrived, not to what was announced
constexpr std::size_t kBytesPerWriteSecond = 256u << 10;
constexpr std::size_t kSmallBody = 4096;         // leaves in one piece with its head
constexpr Milliseconds kLingerTime{5'000};       // for a client that may still be sending what was refused
constexpr Milliseconds kShortLingerTime{1'000};  // for one whose request was read to its end
constexpr std::size_t kLingerBytes = 64u << 20;
constexpr int kResponsesInARow = 16;  // then a pipelining client lets others have the thread

bool is_digits(boost::beast::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view known_method(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return "GET";
    case http::verb::head:
      return "HEAD";
    case http::verb::post:
      return "POST";
    case http::verb::delete_:
      return "DELETE";
    default:
      return "other";  // a label must not be the client's to choose
  }
}

Error too_much_unsent(std::size_t limit) {
  return {ErrorCode::kUnavailable,
          fmt::format("clients have not taken responses of {} bytes together; read what was sent, then ask again", limit)};
}

}  // namespace

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, const HttpListener& listener, std::shared_ptr<HttpShared> shared,
                               Threads& threads)
    : socket_(std::move(socket)),
      listener_(listener),
      shared_(std::move(shared)),
      threads_(threads),
      buffer_(std::max<std::size_t>(shared_->options.max_header, 4096) + kReadBytes) {
  // Before it is registered: the reaper must not take a connection that nobody has served yet for the longest idle one.
  phase_start_.store(Steady::now().time_since_epoch().count(), std::memory_order_relaxed);
  shared_->add(this);
  threads_.add_connection();  // last: where the other fails nobody would count it back
}

HttpConnection::~HttpConnection() {
  shared_->remove(this);
  threads_.remove_connection();
}

void HttpConnection::start() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  now_ = Steady::now();
  enter(Phase::kIdle, shared_->options.header_timeout);
  run();
}

// Drives the connection until it has to wait for the peer. An exception here is an allocation that failed: this connection ends, no other.
void HttpConnection::run() {
  try {
    const Steady::time_point since = now_ = Steady::now();
    for (int round = 0;; ++round) {
      switch (advance()) {
        case Step::kAgain:
          break;
        case Step::kRead:
          return read_some();
        case Step::kWrite:
          return write_some();
        case Step::kWait:
          return;  // another thread may be at it already
        case Step::kClose:
          return close();
      }
      if (round >= kResponsesInARow * 4 && Steady::now() - since > Milliseconds(1))
        return asio::post(socket_.get_executor(), [self = shared_from_this()] { self->run(); });
    }
  } catch (const std::exception&) {
    close();
  }
}

HttpConnection::Step HttpConnection::advance() {
  switch (phase_.load(std::memory_order_relaxed)) {
    case Phase::kIdle:
    case Phase::kHeader:
      return advance_header();
    case Phase::kBody:
      return parser_->chunked() ? advance_chunked_body() : advance_sized_body();
    case Phase::kHandling:
      return handle();
    case Phase::kAnswered:
      return answered();
    case Phase::kWriting:
      return advance_write();
    case Phase::kLingering:
      return advance_linger();
  }
  return Step::kClose;
}

HttpConnection::Step HttpConnection::advance_header() {
  if (!parser_) {
    // RFC 9112 section 2.2: an empty line before a request is ignored.
    while (buffer_.size() != 0 &&
           (*static_cast<const char*>(buffer_.data().data()) == '\r' || *static_cast<const char*>(buffer_.data().data()) == '\n'))
      buffer_.consume(1);
    if (buffer_.size() != 0) {
      request_start_ = now_;
      // Who stops the server closes what is idle: this is not any more.
      if (phase_.load(std::memory_order_relaxed) == Phase::kIdle) enter(Phase::kHeader, shared_->options.header_timeout);
      if (answer_again()) return Step::kAgain;
      parser_.emplace();
      parser_->header_limit(static_cast<std::uint32_t>(shared_->options.max_header));
      parser_->body_limit(shared_->options.max_body);
    }
  }
  if (buffer_.size() != 0) {
    error_code error;
    buffer_.consume(parser_->put(buffer_.data(), error));
    if (error && error != http::error::need_more) return refuse(error);
    if (!error && parser_->is_header_done()) return begin_body();
    if (buffer_.size() == buffer_.max_size()) return refuse(http::error::header_limit);
  }
  if (timed_out_.load(std::memory_order_acquire) && parser_)
    return refuse(408, ErrorCode::kDeadlineExceeded,
                  fmt::format("the header was not complete within {} ms", shared_->options.header_timeout.count()));
  return end_of_stream_ ? Step::kClose : Step::kRead;
}

// What is asked again byte for byte is answered again byte for byte, but for the date, where that still is the answer.
bool HttpConnection::answer_again() {
  auto* hot = HotGets::of_this_thread();
  asked_.clear();
  if (hot == nullptr || !listener_.gateway->has_at_hand()) return false;
  if (timed_out_.load(std::memory_order_acquire) || shared_->stopping.load(std::memory_order_acquire)) return false;
  const auto head = HotGets::head_in({static_cast<const char*>(buffer_.data().data()), buffer_.size()});
  if (head.empty()) return false;
  bool worth_keeping = false;
  const auto* known = hot->find(head, worth_keeping);
  if (known != nullptr && listener_.gateway->answers_the_same(known->repeat)) {
    keep_alive_ = true;
    head_ = known->response;
    renew_date(head_);
    buffer_.consume(head.size());
    count_request("GET", 200);
    send(Milliseconds(0));
    return true;
  }
  if (known != nullptr) {
    hot->forget(head);
    worth_keeping = true;
  }
  if (worth_keeping && head.size() < HotGets::kLargest) asked_ = head;
  return false;
}

// What two parsers on the way could read differently is refused rather than interpreted (RFC 9112 section 11.2).
std::optional<HttpConnection::Step> HttpConnection::refuse_ambiguous() {
  const auto& message = parser_->get();
  const auto bad = [this](std::string what) { return refuse(400, ErrorCode::kInvalidArgument, std::move(what)); };
  const auto hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) return bad("an HTTP/1.1 request names exactly one Host");
  const auto lengths = message.count(http::field::content_length);
  if (lengths > 1 || (lengths == 1 && !is_digits(message[http::field::content_length]))) return bad("more than one Content-Length");
  if (const auto encodings = message.count(http::field::transfer_encoding); encodings != 0) {
    if (lengths != 0) return bad("Content-Length together with Transfer-Encoding");
    if (message.version() != 11) return bad("Transfer-Encoding needs HTTP/1.1");
    if (encodings > 1 || !boost::beast::iequals(message[http::field::transfer_encoding], "chunked"))
      return refuse(501, ErrorCode::kUnsupported, "the only Transfer-Encoding that is read is chunked");
  }
  const auto expect = message[http::field::expect];
  if (!expect.empty() && !boost::beast::iequals(expect, "100-continue"))
    return refuse(417, ErrorCode::kUnsupported, "the only Expect that is met is 100-continue");
  return std::nullopt;
}

HttpConnection::Step HttpConnection::begin_body() {
  if (auto refused = refuse_ambiguous()) return *refused;
  const auto& options = shared_->options;
  keep_alive_ = parser_->keep_alive();
  const bool chunked = parser_->chunked();
  const std::uint64_t length = chunked ? 0 : parser_->content_length().value_or(0);
  if (!chunked && length == 0) {
    enter(Phase::kHandling, Milliseconds(0));
    return Step::kAgain;
  }
  asked_.clear();
  if (length > options.max_body) return refuse(http::error::body_limit);
  body_size_ = static_cast<std::size_t>(length);
  if (!make_room()) return refuse_for_room();
  if (parser_->get().version() == 11 && !parser_->get()[http::field::expect].empty() && buffer_.size() == 0) {
    error_code ignored;  // a client that does not get it sends its body after a while, or never
    socket_.write_some(asio::buffer(kContinue.data(), kContinue.size()), ignored);
  }
  if (chunked) {
    // A trailer section is among the fields once it has been read, and it is no header (RFC 9110 section 6.5.1).
    headers_ = read_headers();
    parser_->eager(true);
  }
  enter(Phase::kBody, options.body_timeout);
  return Step::kAgain;
}

// For the next step of a body of known length; false if the server has none. What was only announced takes no more than a step.
bool HttpConnection::make_room() {
  const std::size_t wanted = std::min(body_size_, body_filled_ + std::max(buffer_.size(), kBodyStep));
  if (wanted <= body_.capacity()) return true;
  const std::size_t room = std::min(body_size_, std::max(wanted, 2 * body_.capacity()));
  if (!share_.grow_to(shared_->buffered, shared_->options.max_buffered, room)) return false;
  std::string larger;  // reserve() would double what is there, also beyond the end of the body
  larger.reserve(room);
  larger.append(body_, 0, body_filled_);
  body_ = std::move(larger);
  return true;
}

HttpConnection::Step HttpConnection::refuse_for_room() {
  return refuse(503, ErrorCode::kUnavailable,
                fmt::format("bodies of {} bytes together are being received already", shared_->options.max_buffered));
}

// Bodies of known length are read straight into the string that becomes the payload.
HttpConnection::Step HttpConnection::advance_sized_body() {
  if (const std::size_t take = std::min(buffer_.size(), body_size_ - body_filled_); take != 0) {
    body_.resize(body_filled_);
    body_.append(static_cast<const char*>(buffer_.data().data()), take);
    buffer_.consume(take);
    body_filled_ += take;
  }
  if (body_filled_ == body_size_) {
    body_.resize(body_size_);
    enter(Phase::kHandling, Milliseconds(0));
    return Step::kAgain;
  }
  if (timed_out_.load(std::memory_order_acquire))
    return refuse(408, ErrorCode::kDeadlineExceeded,
                  fmt::format("{} of {} body bytes came within {} ms", body_filled_, body_size_, shared_->options.body_timeout.count()));
  if (end_of_stream_) return Step::kClose;
  return make_room() ? Step::kRead : refuse_for_room();
}

HttpConnection::Step HttpConnection::advance_chunked_body() {
  const auto& options = shared_->options;
  while (!parser_->is_done()) {
    error_code error;
    std::size_t used = 0;
    if (buffer_.size() != 0) {
      used = parser_->put(buffer_.data(), error);
      buffer_.consume(used);
    } else {
      error = http::error::need_more;
    }
    if (error && error != http::error::need_more) return refuse(error);
    const std::size_t received = std::max<std::size_t>(parser_->get().body().capacity(), 1);
    if (!share_.grow_to(shared_->buffered, options.max_buffered, received)) return refuse_for_room();
    if (!error) continue;
    if (buffer_.size() == buffer_.max_size()) return refuse(400, ErrorCode::kInvalidArgument, "a chunk header or trailer is too long");
    if (timed_out_.load(std::memory_order_acquire))
      return refuse(408, ErrorCode::kDeadlineExceeded, fmt::format("the body was not complete within {} ms", options.body_timeout.count()));
    return end_of_stream_ ? Step::kClose : Step::kRead;
  }
  body_ = std::move(parser_->get().body());
  enter(Phase::kHandling, Milliseconds(0));
  return Step::kAgain;
}

HttpConnection::Headers HttpConnection::read_headers() const {
  Headers headers;
  headers.reserve(12);
  for (const auto& field : parser_->get()) headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  return headers;
}

GatewayRequest HttpConnection::take_request() {
  const auto& message = parser_->get();
  GatewayRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.headers = parser_->chunked() ? std::exchange(headers_, {}) : read_headers();
  const auto path = std::string_view(request.target).substr(0, request.target.find('?'));
  reads_ = request.method == "GET" || request.method == "HEAD" || path.ends_with(":get");
  if (!body_.empty()) request.body = Payload::adopt(std::move(body_));
  body_ = std::string();
  request.ns = listener_.ns;
  return request;
}

HttpConnection::Step HttpConnection::handle() {
  auto request = take_request();
  if (listener_.gateway->has_at_hand()) {
    if (auto response = listener_.gateway->answer_at_hand(request, asked_.empty() ? nullptr : &repeat_)) {
      response_ = *std::move(response);
      return answered();
    }
    repeat_.reset();
  }
  const bool waits = threads_.split() && !listener_.gateway->answers_later(request);
  handoff_.store(Handoff::kOpen, std::memory_order_relaxed);
  work_.emplace(threads_.work());
  if (waits) {
    threads_.wait_in([self = shared_from_this(), asked = std::move(request)]() mutable { ask_gateway(std::move(self), std::move(asked)); });
  } else {
    ask_gateway(shared_from_this(), std::move(request));
  }
  if (handoff_.exchange(Handoff::kAsked, std::memory_order_acq_rel) == Handoff::kOpen) return Step::kWait;
  return answered();
}

// The reference travels with the answer: a foreign thread must not be the one that ends the connection.
void HttpConnection::ask_gateway(std::shared_ptr<HttpConnection> self, GatewayRequest&& request) {
  auto& gateway = *self->listener_.gateway;
  auto& shared = *self->shared_;
  // Before it is counted: where there is no memory for it nobody would count it back.
  Gateway::Done done = [keeper = std::move(self)](GatewayResponse response) mutable { answer(std::move(keeper), std::move(response)); };
  shared.answering.fetch_add(1, std::memory_order_relaxed);
  gateway.handle(std::move(request), std::move(done));
}

// On any thread, once for each request.
void HttpConnection::answer(std::shared_ptr<HttpConnection> self, GatewayResponse&& response) noexcept {
  const auto shared = self->shared_;
  self->response_ = std::move(response);
  if (self->handoff_.exchange(Handoff::kAnswered, std::memory_order_acq_rel) == Handoff::kAsked) {
    auto& threads = self->threads_;
    try {
      if (threads.for_sockets())
        self->go_on();
      else
        threads.answered(std::move(self));
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory for it; the connection ended with its last reference
    }
  }
  self.reset();
  shared->answered();
}

void HttpConnection::go_on() {
  phase_.store(Phase::kAnswered, std::memory_order_release);
  run();
}

HttpConnection::Step HttpConnection::answered() {
  now_ = Steady::now();
  const bool head_only = parser_->get().method() == http::verb::head;
  share_.release();
  work_.reset();
  const bool keep = keep_alive_ && !timed_out_.load(std::memory_order_acquire);
  return respond(std::exchange(response_, {}), head_only, keep);
}

HttpConnection::Step HttpConnection::refuse(int status, ErrorCode code, std::string detail) {
  share_.release();
  body_ = std::string();
  const bool head_only = parser_ && parser_->is_header_done() && parser_->get().method() == http::verb::head;
  refused_ = true;
  return respond(problem(status, Error(code, std::move(detail))), head_only, false);
}

HttpConnection::Step HttpConnection::refuse(const error_code& error) {
  const auto& options = shared_->options;
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return refuse(431, ErrorCode::kTooLarge, fmt::format("the header is larger than {} bytes", options.max_header));
  if (error == http::error::body_limit)
    return refuse(413, ErrorCode::kTooLarge, fmt::format("the body is larger than {} bytes", options.max_body));
  // A target with a space in it also ends in what is no version.
  const std::string_view start(static_cast<const char*>(buffer_.data().data()), buffer_.size());
  const std::string_view line = start.substr(0, start.find('\r'));
  if (error == http::error::bad_version && std::count(line.begin(), line.end(), ' ') == 2)
    return refuse(505, ErrorCode::kUnsupported, "HTTP/1.1 and HTTP/1.0 are spoken here");
  return refuse(400, ErrorCode::kInvalidArgument, fmt::format("not an HTTP/1.1 request: {}", error.message()));
}

// Counts the body as one that the client has not taken yet.
bool HttpConnection::has_room_for(const Payload& body) noexcept {
  if (body.size() <= kSmallBody) return true;
  auto& unsent = shared_->unsent;
  if (unsent_.grow_to(unsent, shared_->options.max_unsent, body.size())) return true;
  // A response that is larger than the limit by itself goes out alone.
  const bool anyway = !reads_ || unsent.load(std::memory_order_relaxed) == 0;
  if (anyway) unsent_.take(unsent, body.size());
  return anyway;
}

HttpConnection::Step HttpConnection::respond(GatewayResponse response, bool head_only, bool keep_alive) {
  keep_alive_ = keep_alive && !shared_->stopping.load(std::memory_order_acquire);
  if (!head_only && !has_room_for(response.body)) response = problem(503, too_much_unsent(shared_->options.max_unsent));
  count_request(method(), response.status);
  head_.clear();
  append_response_head(head_, response, keep_alive_);
  out_ = head_only || is_bodiless(response.status) ? Payload() : std::move(response.body);
  const auto more = static_cast<Milliseconds::rep>(out_.size() / kBytesPerWriteSecond * 1000);
  // One buffer costs the kernel less than two, so a small body is worth a copy.
  if (out_.size() <= kSmallBody) {
    head_ += out_.view();
    out_ = Payload();
  }
  if (repeat_ && response.status == 200 && keep_alive_ && out_.empty()) keep_as_hot();
  repeat_.reset();
  asked_.clear();
  send(Milliseconds(more));
  return Step::kAgain;
}

void HttpConnection::keep_as_hot() noexcept {
  try {
    HotGets::of_this_thread()->keep({.head = asked_, .repeat = *std::move(repeat_), .response = head_});
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the response goes out all the same
  }
}

// What is in head_ and out_.
void HttpConnection::send(Milliseconds more) {
  written_ = 0;
  enter(Phase::kWriting, shared_->options.write_timeout + more);
}

HttpConnection::Step HttpConnection::advance_write() {
  while (written_ < head_.size() + out_.size()) {
    error_code error;
    if (out_.empty()) {
      written_ += socket_.write_some(asio::buffer(head_.data() + written_, head_.size() - written_), error);
    } else {
      const std::size_t of_head = std::min(written_, head_.size());
      const std::size_t of_body = written_ - of_head;
      const std::array<asio::const_buffer, 2> rest{asio::buffer(head_.data() + of_head, head_.size() - of_head),
                                                   asio::buffer(out_.data() + of_body, out_.size() - of_body)};
      written_ += socket_.write_some(rest, error);
    }
    if (error == asio::error::would_block || error == asio::error::try_again) return Step::kWrite;
    if (error) return Step::kClose;
  }
  return finish_response();
}

HttpConnection::Step HttpConnection::finish_response() {
  out_ = Payload();
  unsent_.release();
  if (keep_alive_ && !shared_->stopping.load(std::memory_order_acquire)) {
    reset_request();
    return Step::kAgain;
  }
  // Closing with unread bytes would reset the connection, and the reset can overtake the response: say that no more comes, and read on a
  // while.
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  enter(Phase::kLingering, refused_ ? kLingerTime : kShortLingerTime);
  buffer_.clear();
  return Step::kAgain;
}

HttpConnection::Step HttpConnection::advance_linger() {
  lingered_ += buffer_.size();
  buffer_.clear();
  return end_of_stream_ || lingered_ > kLingerBytes ? Step::kClose : Step::kRead;
}

void HttpConnection::reset_request() {
  parser_.reset();
  body_size_ = 0;
  body_filled_ = 0;
  const bool more = buffer_.size() != 0;
  enter(more ? Phase::kHeader : Phase::kIdle, more ? shared_->options.header_timeout : shared_->options.idle_timeout);
}

struct HttpConnection::ReadDone {
  explicit ReadDone(HttpConnection& of) : self(of.shared_from_this()), memory(&of.read_memory_) {}
  std::shared_ptr<HttpConnection> self;
  OpMemory* memory;  // asked for after `self` was moved from as well
  using allocator_type = OpAllocator<void>;
  allocator_type get_allocator() const noexcept { return allocator_type(*memory); }
  void operator()(const error_code& error, std::size_t bytes) { self->on_read(error, bytes); }
};

void HttpConnection::read_some() {
  ReadDone done(*this);
  if (phase_.load(std::memory_order_relaxed) == Phase::kBody && !parser_->chunked()) {
    const std::size_t ready = std::min(body_size_, body_filled_ + kBodyStep);
    if (body_.size() < ready) body_.resize(ready);
    return socket_.async_read_some(asio::buffer(body_.data() + body_filled_, ready - body_filled_), std::move(done));
  }
  const std::size_t room = std::min(kReadBytes, buffer_.max_size() - buffer_.size());
  socket_.async_read_some(buffer_.prepare(room), std::move(done));
}

void HttpConnection::on_read(const error_code& error, std::size_t bytes) {
  if (error) {
    end_of_stream_ = true;
    if (error != asio::error::eof) return close();
  } else if (phase_.load(std::memory_order_relaxed) == Phase::kBody && !parser_->chunked()) {
    body_filled_ += bytes;
  } else {
    buffer_.commit(bytes);
  }
  run();
}

void HttpConnection::write_some() {
  socket_.async_wait(asio::ip::tcp::socket::wait_write, [self = shared_from_this()](const error_code& error) { self->on_write(error); });
}

void HttpConnection::on_write(const error_code& error) {
  if (error) return close();
  run();
}

void HttpConnection::enter(Phase phase, Milliseconds timeout) noexcept {
  phase_start_.store(now_.time_since_epoch().count(), std::memory_order_relaxed);
  deadline_.store(timeout > Milliseconds(0) ? (now_ + timeout).time_since_epoch().count() : 0, std::memory_order_relaxed);
  phase_.store(phase, std::memory_order_release);
}

bool HttpConnection::expire(Steady::time_point now) noexcept {
  const Steady::rep deadline = deadline_.load(std::memory_order_relaxed);
  if (deadline == 0 || now.time_since_epoch().count() < deadline) return false;
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::kHandling) return false;
  timed_out_.store(true, std::memory_order_release);
  const std::lock_guard lock(socket_mutex_);
  error_code ignored;
  const bool answer = phase == Phase::kHeader || phase == Phase::kBody;
  if (socket_.is_open()) socket_.shutdown(answer ? asio::ip::tcp::socket::shutdown_receive : asio::ip::tcp::socket::shutdown_both, ignored);
  return true;
}

void HttpConnection::cut() noexcept {
  const std::lock_guard lock(socket_mutex_);
  error_code ignored;
  if (socket_.is_open()) socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
}

std::optional<HttpConnection::Steady::time_point> HttpConnection::idle_since() const noexcept {
  if (phase_.load(std::memory_order_acquire) != Phase::kIdle) return std::nullopt;
  return Steady::time_point(Steady::duration(phase_start_.load(std::memory_order_relaxed)));
}

std::string_view HttpConnection::method() const noexcept {
  return parser_ && parser_->is_header_done() ? known_method(parser_->get().method()) : std::string_view("other");
}

void HttpConnection::count_request(std::string_view method, int status) noexcept {
  const auto& metrics = shared_->options.metrics;
  if (!metrics) return;
  const fmt::format_int code(status);
  metrics->add("setget_http_requests_total", 1, {{"method", method}, {"status", std::string_view(code.data(), code.size())}});
  now_ = Steady::now();  // the next of many that came together begins here
  const std::chrono::duration<double> took = now_ - request_start_;
  metrics->observe("setget_http_request_seconds", took.count(), {{"method", method}});
}

void HttpConnection::close() noexcept {
  const std::lock_guard lock(socket_mutex_);
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace setget::inline v0::detail
