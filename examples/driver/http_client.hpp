// A small blocking HTTP/1.1 client on one keep-alive connection. Thread rule: one thread per object.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace driver {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Address {
  std::string host;
  std::uint16_t port = 0;
};
// "http://127.0.0.1:8080"; throws Failure.
Address parse_address(const std::string& url);

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

class HttpClient {
 public:
  explicit HttpClient(Address address) : address_(std::move(address)) {}
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Throws Failure if there is no whole answer within 60 s.
  Response request(std::string_view method, std::string_view target, const Headers& headers = {}, std::string_view body = {});

 private:
  void open();
  void shut();
  void send_all(std::string_view bytes);
  void read_more();

  Address address_;
  int fd_ = -1;
  std::string in_;
};

// For keys in paths and queries (RFC 3986).
std::string percent_encode(std::string_view text);

}  // namespace driver
