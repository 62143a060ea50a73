#include "http_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

namespace driver {

Address parse_address(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  const auto colon = url.rfind(':');
  if (!url.starts_with(kScheme) || colon < kScheme.size()) throw Failure("not an address: " + url);
  return {url.substr(kScheme.size(), colon - kScheme.size()), static_cast<std::uint16_t>(std::stoul(url.substr(colon + 1)))};
}

HttpClient::~HttpClient() { shut(); }

void HttpClient::shut() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  in_.clear();
}

void HttpClient::open() {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(address_.port);
  if (fd_ < 0 || inet_pton(AF_INET, address_.host.c_str(), &to.sin_addr) != 1 ||
      connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    throw Failure("cannot connect to " + address_.host + ":" + std::to_string(address_.port) + ": " + std::strerror(errno));
  }
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval limit{60, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

void HttpClient::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) throw Failure(std::string("send: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void HttpClient::read_more() {
  char buffer[64 * 1024];
  const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
  if (got == 0) throw Failure("the server closed the connection");
  if (got < 0) throw Failure(std::string("recv: ") + std::strerror(errno));
  in_.append(buffer, static_cast<std::size_t>(got));
}

Response HttpClient::request(std::string_view method, std::string_view target, const Headers& headers, std::string_view body) {
  if (fd_ < 0) open();
  std::string out;
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ").append(address_.host).append("\r\n");
  for (const auto& [name, value] : headers) out.append(name).append(": ").append(value).append("\r\n");
  if (method == "POST") out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  out.append("\r\n").append(body);
  send_all(out);

  std::size_t head_end = 0;
  while ((head_end = in_.find("\r\n\r\n")) == std::string::npos) read_more();
  Response response;
  response.status = std::atoi(in_.c_str() + std::min<std::size_t>(9, in_.size()));
  for (std::size_t line = in_.find("\r\n"); line < head_end; line = in_.find("\r\n", line + 2)) {
    const std::size_t end = in_.find("\r\n", line + 2);
    const std::size_t colon = in_.find(':', line + 2);
    if (colon == std::string::npos || colon > end) continue;
    std::string name = in_.substr(line + 2, colon - line - 2);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::size_t value = in_.find_first_not_of(' ', colon + 1);
    response.headers[name] = in_.substr(value, end - value);
  }
  in_.erase(0, head_end + 4);
  const auto length_header = response.headers.find("content-length");
  const bool bodyless = method == "HEAD" || response.status == 304 || response.status == 204;
  if (length_header == response.headers.end() && !bodyless) throw Failure("an answer without Content-Length");
  const std::size_t length = bodyless ? 0 : std::stoul(length_header->second);
  while (in_.size() < length) read_more();
  response.body = in_.substr(0, length);
  in_.erase(0, length);
  const auto connection = response.headers.find("connection");
  if (connection != response.headers.end() && connection->second == "close") shut();
  return response;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string made;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      made += c;
    } else {
      made += '%';
      made += kHex[byte >> 4];
      made += kHex[byte & 15];
    }
  }
  return made;
}

}  // namespace driver
