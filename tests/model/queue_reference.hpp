// What a queue must do, as a plain list of messages that every question walks from the beginning. Written from queue.hpp.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <setget/queue.hpp>

namespace setget_tests {

using setget::Milliseconds;
using setget::Outcome;
using setget::Stamp;
using setget::TimePoint;

struct ReferenceMessage {
  std::string message_id;
  Stamp stamp = 0;
  std::string body;
  std::string group;
  TimePoint sent_at{};
  TimePoint visible_at{};  // where not leased: the end of its delay; else the end of its lease
  bool leased = false;     // by `receipt`, until visible_at
  std::string receipt;
  std::uint32_t receives = 0;
  Outcome outcome = Outcome::kPending;
  std::string code;  // contains the first reason of a dead letter; where two hold, either may be given
  TimePoint dead_at{};
};

class QueueReference {
 public:
  explicit QueueReference(setget::QueueOptions options) : options_(options) {}

  // A message that the queue has accepted and said so.
  void sent(const setget::SentMessage& sent, std::string body, std::string group, Milliseconds delay, TimePoint now);

  // Time has passed: ends leases, and with each those of later messages of its group.
  void lapse(TimePoint now);

  // What a receive must give, in order. What it finds too old or too often received on its way becomes a dead letter.
  std::vector<std::size_t> receive(std::size_t max_messages, TimePoint now);
  // What that receive may have made a dead letter too, because its parts look ahead on their own: visible, and too old or too often
  // received.
  std::vector<std::size_t> doomed(TimePoint now) const;
  void buried(std::size_t index, TimePoint now);
  void leased(std::size_t index, const std::string& receipt, TimePoint until);

  // True if the receipt still holds its message, which then is settled.
  bool settle(const setget::Settlement& settlement, TimePoint now);

  std::size_t redrive(std::size_t limit, bool restamp, TimePoint now);
  std::size_t purge(std::size_t limit);
  // After a restamp: what the queue says the new stamps are, by body.
  void restamped(const std::map<std::string, Stamp>& stamps);

  struct Counts {
    std::uint64_t depth = 0, in_flight = 0, delayed = 0;
    std::uint64_t outcomes[setget::kOutcomeCount] = {};
  };
  Counts counts(TimePoint now) const;
  std::optional<Stamp> oldest_unfinished() const;
  std::vector<const ReferenceMessage*> unfinished() const;  // oldest first
  std::vector<const ReferenceMessage*> dead() const;        // oldest first
  const std::vector<ReferenceMessage>& messages() const { return messages_; }

 private:
  bool holds_lease(const ReferenceMessage& message, TimePoint now) const { return message.leased && message.visible_at > now; }
  bool old(const ReferenceMessage& message, TimePoint now) const { return now - message.sent_at > options_.retention; }
  bool poison(const ReferenceMessage& message) const { return options_.max_receives != 0 && message.receives >= options_.max_receives; }
  void release_later(const ReferenceMessage& message, TimePoint now);
  std::vector<std::size_t> by_stamp() const;

  setget::QueueOptions options_;
  std::vector<ReferenceMessage> messages_;
};

}  // namespace setget_tests
