// FlowLabels: which time series a message's account and flow belong to, by allow-list; FlowTally: counts of one batch or call, published
// as one addition per series. Thread rule: FlowLabels is immutable, any thread; a FlowTally belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/observe.hpp>

namespace setget::inline v0::detail {

class FlowLabels {
 public:
  explicit FlowLabels(MetricAllowList allowed);
  // Nothing to label: callers then count as if this did not exist.
  bool empty() const noexcept { return accounts_.empty() && flows_.empty(); }
  // The number of a pair's series, below the number of allowed pairs.
  std::uint32_t series_of(std::string_view account, std::string_view flow) const noexcept;
  // `extra` with the labels of a series; an empty list gives no label.
  void add(Metrics& metrics, std::string_view counter, double amount, MetricLabel extra, std::uint32_t series) const noexcept;

 private:
  std::vector<std::string> accounts_;  // sorted, each once
  std::vector<std::string> flows_;
};

class FlowTally {
 public:
  // `kind` is what the counter distinguishes besides: below 16.
  void hit(std::uint32_t series, std::size_t kind) { hits_.push_back(series << 4 | static_cast<std::uint32_t>(kind)); }
  // One addition for each series and kind; `text` names a kind. Empty afterwards.
  template <class Text>
  void publish(const FlowLabels& labels, Metrics& metrics, std::string_view counter, std::string_view label, Text text) {
    sort();
    for (std::size_t i = 0; i < hits_.size();) {
      std::size_t end = i + 1;
      while (end < hits_.size() && hits_[end] == hits_[i]) ++end;
      labels.add(metrics, counter, static_cast<double>(end - i), {label, text(hits_[i] & 15U)}, hits_[i] >> 4);
      i = end;
    }
    hits_.clear();
  }

 private:
  void sort();
  std::vector<std::uint32_t> hits_;
};

}  // namespace setget::inline v0::detail
