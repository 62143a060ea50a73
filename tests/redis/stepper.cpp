#include "redis/stepper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <set>
#include <thread>

#include "redis/loopback.hpp"
#include "support/hiredis.hpp"

namespace redis_test {

struct Stepper::Command {
  std::string bytes{};
  std::string part{};   // the hash tag of its first key; empty: of no part, so its order counts
  bool is_step = true;  // else it is about the connection alone
  std::string reply{};  // what waits for those before it
};

struct Stepper::Connection {
  int client = -1;
  int server = -1;
  std::string unread{};
  std::deque<Command> commands{};
  HiredisReader replies{redisReaderCreate()};
  bool over = false;

  void take(std::string_view bytes) {
    unread += bytes;
    while (true) {
      std::string_view verb;
      std::string_view first_tag;
      const auto size = read_command(unread, [&](std::string_view word) {
        if (verb.empty()) verb = word;
        const auto from = word.find('{');
        const auto to = word.find('}', from);
        if (first_tag.empty() && from != std::string_view::npos && to != std::string_view::npos) first_tag = word.substr(from, to - from);
      });
      if (!size) return;
      static const std::set<std::string_view> kNoSteps{"HELLO", "CLIENT", "PING", "SELECT", "INFO", "CONFIG", "SCRIPT"};
      commands.push_back({.bytes = unread.substr(0, *size), .part = std::string(first_tag), .is_step = !kNoSteps.contains(verb)});
      unread.erase(0, *size);
    }
  }
};

struct Stepper::Client {
  int listener = -1;
  std::uint16_t port = 0;
  std::vector<std::unique_ptr<Connection>> connections{};
  std::atomic<bool> done{true};
  bool refused = false;
};

Stepper::Stepper(std::uint16_t server_port, std::size_t clients) : server_port_(server_port) {
  if (::pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0) throw std::runtime_error("the stepper cannot be woken");
  for (std::size_t i = 0; i < clients; ++i) {
    auto client = std::make_unique<Client>();
    client->listener = listen_on_loopback(client->port);
    clients_.push_back(std::move(client));
  }
}

Stepper::~Stepper() {
  for (const auto& client : clients_) {
    for (const auto& connection : client->connections) {
      ::close(connection->client);
      ::close(connection->server);
    }
    ::close(client->listener);
  }
  ::close(wake_[0]);
  ::close(wake_[1]);
}

std::string Stepper::uri(std::size_t client) const { return "redis://127.0.0.1:" + std::to_string(clients_[client]->port); }

void Stepper::accept_one(Client& client) {
  const int fd = ::accept4(client.listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  without_delay(fd);
  auto connection = std::make_unique<Connection>();
  connection->client = fd;
  connection->server = connect_to_loopback(server_port_);
  if (connection->server < 0) throw std::runtime_error("the stepper's server is gone");
  client.connections.push_back(std::move(connection));
}

// Takes what has come from clients; returns when something has, or a client finished.
void Stepper::wait_for_clients(int timeout_ms) {
  std::vector<pollfd> fds = {{.fd = wake_[0], .events = POLLIN, .revents = 0}};
  for (const auto& client : clients_) {
    fds.push_back({.fd = client->listener, .events = POLLIN, .revents = 0});
    for (const auto& connection : client->connections) fds.push_back({.fd = connection->client, .events = POLLIN, .revents = 0});
  }
  if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
  std::array<char, 65536> buffer;
  while (::read(wake_[0], buffer.data(), buffer.size()) > 0) {
  }
  std::size_t at = 1;
  for (const auto& client : clients_) {
    const bool more = fds[at++].revents != 0;
    for (const auto& connection : client->connections) {
      if (fds[at++].revents == 0) continue;
      const auto got = ::recv(connection->client, buffer.data(), buffer.size(), 0);
      connection->over = got <= 0;
      if (got > 0) connection->take({buffer.data(), static_cast<std::size_t>(got)});
    }
    std::erase_if(client->connections, [](const auto& connection) {
      if (!connection->over) return false;
      ::close(connection->client);
      ::close(connection->server);
      return true;
    });
    if (more) accept_one(*client);
  }
}

void Stepper::pass(Client& client, Place place) {
  auto& [connection, number] = place;
  auto& command = connection->commands[number];
  if (client.refused) {
    command.reply = "-NOPERM this client is not let through any more\r\n";
  } else {
    (void)send_all(connection->server, command.bytes);
    std::array<char, 65536> buffer;
    void* whole = nullptr;
    while (whole == nullptr) {
      const auto got = ::recv(connection->server, buffer.data(), buffer.size(), 0);
      if (got <= 0) throw std::runtime_error("the stepper's server hung up");
      command.reply.append(buffer.data(), static_cast<std::size_t>(got));
      redisReaderFeed(connection->replies.get(), buffer.data(), static_cast<std::size_t>(got));
      if (redisReaderGetReply(connection->replies.get(), &whole) != REDIS_OK) throw std::runtime_error("no RESP");
    }
    freeReplyObject(whole);
  }
  auto& commands = connection->commands;
  for (; !commands.empty() && !commands.front().reply.empty(); commands.pop_front())
    (void)send_all(connection->client, commands.front().reply);
}

std::vector<Stepper::Place> Stepper::next_commands(Client& client) {
  std::vector<Place> out;
  for (const auto& connection : client.connections) {
    while (!connection->commands.empty() && !connection->commands.front().is_step) pass(client, {connection.get(), 0});
    std::set<std::string_view> before;
    for (std::size_t i = 0; i < connection->commands.size(); ++i) {
      const auto& command = connection->commands[i];
      const bool in_order = command.part.empty() || !command.is_step;
      if (in_order && i > 0) break;
      if (command.reply.empty() && before.insert(command.part).second) out.emplace_back(connection.get(), i);
      if (in_order) break;
    }
  }
  return out;
}

void Stepper::let_pass(const std::function<bool()>& over) {
  while (!over()) {
    wait_for_clients(10);
    for (const auto& client : clients_) {
      for (auto next = next_commands(*client); !next.empty(); next = next_commands(*client)) pass(*client, next.front());
    }
  }
}

void Stepper::refuse(std::size_t client) { clients_[client]->refused = true; }

std::string Stepper::command(std::size_t client, std::size_t number) {
  const auto [connection, at] = next_commands(*clients_[client])[number];
  std::string out;
  (void)read_command(connection->commands[at].bytes, [&](std::string_view word) {
    for (const char c : word.substr(0, 80)) {
      if (c > ' ' && c < 127) {
        out += c;
      } else {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
    }
    out += ' ';
  });
  return out;
}

void Stepper::run(const std::vector<std::function<void()>>& clients, const Choose& choose) {
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    auto& client = *clients_[i];
    client.refused = client.done = false;
    threads.emplace_back([this, &client, &work = clients[i]] {
      work();
      client.done = true;
      (void)!::write(wake_[1], "x", 1);
    });
  }
  while (true) {
    std::vector<Waiting> waiting;
    bool still = true;
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const bool done = clients_[i]->done;
      const auto next = next_commands(*clients_[i]).size();
      if (next > 0) waiting.push_back({.client = i, .commands = next});
      still = still && (done || next > 0);
    }
    if (!still) {
      wait_for_clients(-1);
      continue;
    }
    if (waiting.empty()) return;
    const auto [chosen, number] = choose(waiting);
    pass(*clients_[chosen], next_commands(*clients_[chosen])[number]);
  }
}

}  // namespace redis_test
