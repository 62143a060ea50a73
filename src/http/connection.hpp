// One HTTP/1.1 connection: reads requests one after the other, hands each to the gateway, writes its response. Bytes wait in the kernel
// while a request is handled, so a client that pipelines costs no memory. The gateway may answer later and on any thread: the chain then
// ends, and goes on with the answer on a thread of the server. Thread rule: one asynchronous chain runs at a time; cut() and expire() may
// be called from any thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "http/op_memory.hpp"
#include "http/shared.hpp"

namespace setget::inline v0::detail {

class HttpConnection final : public std::enable_shared_from_this<HttpConnection> {
 public:
  using Steady = std::chrono::steady_clock;

  HttpConnection(boost::asio::ip::tcp::socket socket, const HttpListener& listener, std::shared_ptr<HttpShared> shared, Threads& threads);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  void start();
  // With the answer that the gateway gave later; on a thread of the server.
  void go_on();
  // Ends the phase that has outlasted its timeout; true if it had.
  bool expire(Steady::time_point now) noexcept;
  // Wakes the chain with the end of the stream.
  void cut() noexcept;
  // Since when the connection has waited for a request; empty while it has one.
  std::optional<Steady::time_point> idle_since() const noexcept;

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  enum class Phase : std::uint8_t { kIdle, kHeader, kBody, kHandling, kAnswered, kWriting, kLingering };
  enum class Step : std::uint8_t { kAgain, kRead, kWrite, kWait, kClose };

  void run();
  Step advance();
  Step advance_header();
  bool answer_again();
  Step begin_body();
  bool make_room();
  Step refuse_for_room();
  Step advance_sized_body();
  Step advance_chunked_body();
  Step handle();
  static void ask_gateway(std::shared_ptr<HttpConnection> self, GatewayRequest&& request);
  static void answer(std::shared_ptr<HttpConnection> self, GatewayResponse&& response) noexcept;
  Step answered();
  Step refuse(int status, ErrorCode code, std::string detail);
  Step refuse(const boost::system::error_code& error);
  Step respond(GatewayResponse response, bool head_only, bool keep_alive);
  bool has_room_for(const Payload& body) noexcept;
  void keep_as_hot() noexcept;
  void send(Milliseconds more);
  Step advance_write();
  Step finish_response();
  Step advance_linger();
  std::optional<Step> refuse_ambiguous();
  using Headers = decltype(GatewayRequest::headers);
  Headers read_headers() const;
  GatewayRequest take_request();

  struct ReadDone;
  void read_some();
  void write_some();
  void on_read(const boost::system::error_code& error, std::size_t bytes);
  void on_write(const boost::system::error_code& error);
  void enter(Phase phase, Milliseconds timeout) noexcept;
  void reset_request();
  std::string_view method() const noexcept;
  void count_request(std::string_view method, int status) noexcept;
  void close() noexcept;

  boost::asio::ip::tcp::socket socket_;
  const HttpListener& listener_;
  std::shared_ptr<HttpShared> shared_;
  Threads& threads_;

  OpMemory read_memory_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Headers headers_;  // of a request whose body is chunked
  std::string body_;
  std::size_t body_size_ = 0;    // by Content-Length
  std::size_t body_filled_ = 0;  // of it received
  BufferShare share_;
  Steady::time_point request_start_;
  // When the chain went on, or had its answer: what it does without waiting takes no time that a timeout would notice.
  Steady::time_point now_;

  // Whoever comes second, the chain that asked or the answer, goes on.
  enum class Handoff : std::uint8_t { kOpen, kAsked, kAnswered };
  std::atomic<Handoff> handoff_{Handoff::kOpen};
  GatewayResponse response_;
  std::optional<Threads::Work> work_;

  std::string asked_;  // head of the request, where its answer is to be kept for those that ask the same
  std::optional<Gateway::Repeat> repeat_;
  bool reads_ = false;  // the request changes nothing: another try does no harm
  BufferShare unsent_;
  std::string head_;
  Payload out_;              // of the response
  std::size_t written_ = 0;  // of head_ and out_ together
  bool keep_alive_ = false;
  bool refused_ = false;  // before it was read to its end
  bool end_of_stream_ = false;
  std::size_t lingered_ = 0;  // bytes thrown away after the last response

  std::atomic<Phase> phase_{Phase::kIdle};
  std::atomic<Steady::rep> phase_start_{0};
  std::atomic<Steady::rep> deadline_{0};
  std::atomic<bool> timed_out_{false};
  std::mutex socket_mutex_;  // closing against shutting down from the reaper
};

}  // namespace setget::inline v0::detail
