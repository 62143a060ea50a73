// A key store whose gets are asynchronous and wait until a test answers them, in whatever order and on whatever thread it likes; with
// keep_at_hand() it has everything at hand, as a store with a cache.
// Thread rule: any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <setget/testing/forwarding.hpp>

namespace setget_test {

class HeldGets final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  ~HeldGets() override {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    if (answerer_.joinable()) answerer_.join();
    answer_all();
  }

  setget::KeyStoreCapabilities capabilities() const override {
    auto capabilities = inner()->capabilities();
    capabilities.async_gets = true;
    capabilities.at_hand = at_hand_;
    return capabilities;
  }
  // Before anybody asks for capabilities().
  void keep_at_hand() { at_hand_ = true; }
  std::optional<setget::Lookup> get_at_hand(std::string_view ns, std::string_view key, setget::TimePoint now) override {
    ++asked_at_hand_;
    std::function<void()> meanwhile;
    {
      const std::lock_guard lock(mutex_);
      meanwhile.swap(meanwhile_);
    }
    if (meanwhile) meanwhile();
    if (!at_hand_ || key == "elsewhere") return std::nullopt;
    return inner()->get({.ns = ns, .keys = std::span(&key, 1), .now = now}).value().front();
  }
  // Called by the next one that asks, before it is answered.
  void meanwhile(std::function<void()> what) {
    const std::lock_guard lock(mutex_);
    meanwhile_ = std::move(what);
  }
  // As a store does that keeps nothing to share: each time another object.
  void share_copies() { copies_ = true; }
  // How often either form was asked.
  int asked_at_hand() const { return asked_at_hand_; }
  // One object for as long as the store says the same of the key.
  std::shared_ptr<const setget::Lookup> share_at_hand(std::string_view ns, std::string_view key, setget::TimePoint now) override {
    if (copies_) return KeyStoreBackend::share_at_hand(ns, key, now);
    auto found = get_at_hand(ns, key, now);
    if (!found) return nullptr;
    const std::lock_guard lock(mutex_);
    auto& known = shared_[{std::string(ns), std::string(key)}];
    const auto state = [](const setget::Lookup& one) {
      return one.record ? std::tuple(one.status, one.record->version, one.record->revision)
                        : std::tuple(one.status, setget::Version{}, setget::Revision{});
    };
    if (known == nullptr || state(*known) != state(*found)) known = std::make_shared<const setget::Lookup>(*std::move(found));
    return known;
  }
  void get_async(const setget::GetRecords& request, GetDone done) override {
    Held held{.ns = std::string(request.ns),
              .keys = {request.keys.begin(), request.keys.end()},
              .now = request.now,
              .deadline = request.deadline,
              .done = std::move(done)};
    {
      const std::lock_guard lock(mutex_);
      if (!at_once_) {
        held_.push_back(std::move(held));
        changed_.notify_all();
        return;
      }
    }
    answer(std::move(held));
  }

  // From now on gets are answered before get_async() returns.
  void answer_at_once() {
    const std::lock_guard lock(mutex_);
    at_once_ = true;
  }
  // From now on a thread answers, the ones that wait in no order.
  void answer_in_disorder(unsigned seed) {
    answerer_ = std::thread([this, random = std::minstd_rand(seed)]() mutable {
      std::unique_lock lock(mutex_);
      for (;;) {
        changed_.wait(lock, [&] { return over_ || !held_.empty(); });
        if (held_.empty()) return;
        std::swap(held_[random() % held_.size()], held_.back());
        auto one = std::move(held_.back());
        held_.pop_back();
        lock.unlock();
        answer(std::move(one));
        lock.lock();
      }
    });
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return held_.size();
  }
  bool wait_for(std::size_t gets) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return held_.size() >= gets; });
  }
  // Those that wait now, last come first answered.
  void answer_all(const std::optional<setget::Error>& failed = {}) {
    std::vector<Held> now;
    {
      const std::lock_guard lock(mutex_);
      now.swap(held_);
    }
    for (; !now.empty(); now.pop_back()) {
      if (failed)
        now.back().done(*failed);
      else
        answer(std::move(now.back()));
    }
  }

 private:
  struct Held {
    std::string ns;
    std::vector<std::string> keys;
    setget::TimePoint now;
    setget::Deadline deadline;
    GetDone done;
  };
  void answer(Held&& held) {
    const std::vector<std::string_view> keys(held.keys.begin(), held.keys.end());
    held.done(inner()->get({.ns = held.ns, .keys = keys, .now = held.now, .deadline = held.deadline}));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Held> held_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const setget::Lookup>> shared_;
  bool at_once_ = false;
  bool at_hand_ = false;
  bool copies_ = false;
  std::atomic<int> asked_at_hand_ = 0;
  std::function<void()> meanwhile_{};
  bool over_ = false;
  std::thread answerer_;
};

}  // namespace setget_test
