// Stepper: stands between several clients and one Redis server and lets their commands pass one at a time, in an order that the test
// chooses. While it chooses, every client stands still: each has commands that wait here, or has ended. So what happens between any two
// commands of one client is the test's to say, and comes about the same way again. Commands that a client sends together go to their parts
// of the store in any order too, as they would on a cluster. Thread rule: one thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redis_test {

class Stepper {
 public:
  Stepper(std::uint16_t server_port, std::size_t clients);
  ~Stepper();
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  // Where this client must go.
  std::string uri(std::size_t client) const;

  // Passes everything at once, until `over` says that it is enough: for what clients do before their steps count.
  void let_pass(const std::function<bool()>& over);

  // Which client goes on, and with which of the commands that it has waiting here.
  struct Waiting {
    std::size_t client;
    std::size_t commands;
  };
  using Choose = std::function<std::pair<std::size_t, std::size_t>(const std::vector<Waiting>& waiting)>;
  // Runs what each client does on a thread of its own, one command after the other, until all have returned.
  void run(const std::vector<std::function<void()>>& clients, const Choose& choose);
  // From choose(): each further command of this client is refused instead, so that its caller is told at once; until the end of this run().
  void refuse(std::size_t client);
  // From choose(): the beginning of a command that waits.
  std::string command(std::size_t client, std::size_t number);

 private:
  struct Command;
  struct Connection;
  struct Client;
  using Place = std::pair<Connection*, std::size_t>;
  void accept_one(Client& client);
  void wait_for_clients(int timeout_ms);
  // Those of a client that may go next.
  std::vector<Place> next_commands(Client& client);
  void pass(Client& client, Place place);

  const std::uint16_t server_port_;
  int wake_[2] = {-1, -1};
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace redis_test
