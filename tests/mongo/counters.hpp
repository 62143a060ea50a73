// Metrics of the tests.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include <setget/observe.hpp>

namespace mongo_test {

using setget::MetricLabels;
using setget::Metrics;

// What Metrics were told.
class Counters final : public Metrics {
 public:
  void add(std::string_view counter, double amount, MetricLabels labels) noexcept override {
    const std::lock_guard lock(mutex_);
    std::string name(counter);
    for (const auto& label : labels) name.append(" ").append(label.value);
    counts_[name] += amount;
  }
  void set(std::string_view, double, MetricLabels) noexcept override {}
  void observe(std::string_view, double, MetricLabels) noexcept override {}
  double of(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return counts_[name];
  }
  double all() {
    const std::lock_guard lock(mutex_);
    double sum = 0;
    for (const auto& [name, count] : counts_) sum += count;
    return sum;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, double> counts_;
};

}  // namespace mongo_test
