// What was in force when, as those know it who set and erased it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crash/oracle.hpp"

namespace crash {

class PastOracle {
 public:
  // A line as victims print it; of others it takes no notice. An identity's events come in order.
  void line(std::string_view text);
  // After a crash, once the queue is worked off: learns what was accepted and not answered. Empty, or why it could not.
  std::string settle(setget::Pipeline& pipeline);
  // Gets of the past at every event since the last check, and a millisecond before it, by id and by every key that the record had or might
  // have had. Empty: all are exact. Before `whole_since` a refusal will do.
  std::string check(setget::Pipeline& pipeline, setget::TimePoint whole_since);
  // The next check begins anew.
  void look_at_all_again() { checked_ = {}; }

  std::uint64_t exact() const { return exact_; }      // answers that were compared
  std::uint64_t refused() const { return refused_; }  // before whole_since
  std::uint64_t vague() const { return vague_; }      // nobody knows: an erase was under way when the process died

 private:
  struct Event {
    setget::Version version = 0;  // its stamp
    std::uint64_t n = 0;          // of a set; 0 = an erase
  };
  struct Known {
    std::vector<Event> events{};
    std::vector<std::pair<setget::TimePoint, setget::TimePoint>> vague{};
    bool erase_under_way = false;
  };
  // What a get must say: the identity and n of a set; n = 0: none. Empty: nobody knows.
  struct Held {
    int identity = 0;
    std::uint64_t n = 0;
  };
  std::optional<Held> by_id(int identity, setget::TimePoint at) const;
  std::optional<Held> by_shared_key(int shared, setget::TimePoint at) const;
  std::string look(setget::Pipeline& pipeline, int identity, setget::TimePoint at, setget::TimePoint whole_since);
  // What is known of everybody that claims the same shared key, about that time.
  std::string around(int identity, setget::TimePoint at) const;
  std::string compare(setget::Pipeline& pipeline, const setget::PastGet& get, const std::optional<Held>& held,
                      setget::TimePoint whole_since);

  std::array<Known, kIdentities> known_{};
  std::array<std::size_t, kIdentities> checked_{};
  std::uint64_t exact_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t vague_ = 0;
};

}  // namespace crash
