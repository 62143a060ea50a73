// Hand: a thread that carries out one piece of work after the other, made with the first. For a run that reads ahead and writes behind, one
// for the whole run and not one for each batch: an allocator gives threads that live at the same time memory of their own, and whoever
// came later would find another one's, and widen that. Next: an answer that is to come. Private to the archiver. Thread rule: both are of
// the thread that gives the work.
#pragma once

#include <condition_variable>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace setget::inline v0::detail {

class Hand {
 public:
  using Work = std::packaged_task<void()>;

  Hand() = default;
  ~Hand() {
    {
      const std::scoped_lock lock(mutex_);
      over_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  Hand(const Hand&) = delete;
  Hand& operator=(const Hand&) = delete;

  // Precondition: what it was given before is done. False, and the work stays where it is, where no thread can be had.
  bool take(Work& work) {
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { carry_out(); });
      } catch (const std::exception&) {  // no thread, or no memory for one
        return false;
      }
    }
    {
      const std::scoped_lock lock(mutex_);
      work_ = std::move(work);
    }
    wake_.notify_one();
    return true;
  }

 private:
  void carry_out() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return over_ || work_.valid(); });
      if (!work_.valid()) return;
      auto work = std::exchange(work_, {});
      lock.unlock();
      work();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  Work work_;  // guarded by mutex_, like the next
  bool over_ = false;
  std::thread thread_;
};

// What a hand is at, or what is done where it is asked for. Its end waits for what is under way.
template <class Answer>
class Next {
 public:
  Next() = default;
  // By `hand`, where one is given.
  template <class Make>
  Next(Make make, Hand* hand) {
    std::packaged_task<Answer()> task(std::move(make));
    answer_ = task.get_future();
    here_ = Hand::Work([task = std::move(task)]() mutable { task(); });
    if (hand != nullptr && hand->take(here_)) here_ = {};
  }
  ~Next() { wait(); }
  Next(Next&&) noexcept = default;
  Next& operator=(Next&& other) noexcept {
    wait();
    answer_ = std::move(other.answer_);
    here_ = std::move(other.here_);
    return *this;
  }

  bool valid() const noexcept { return answer_.valid(); }
  // Precondition: valid(), as it is not afterwards.
  Answer get() {
    if (here_.valid()) here_();
    return answer_.get();
  }

 private:
  void wait() const {
    if (answer_.valid() && !here_.valid()) answer_.wait();
  }
  std::future<Answer> answer_;
  Hand::Work here_;
};

}  // namespace setget::inline v0::detail
