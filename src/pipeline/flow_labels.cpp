#include "pipeline/flow_labels.hpp"

#include <fmt/format.h>

#include <algorithm>

#include <setget/validator.hpp>

namespace setget::inline v0 {

namespace {

// With six outcomes that is within what PrometheusMetrics keeps.
constexpr std::size_t kMaxPairs = 1000;

Result<void> check_names(const std::vector<std::string>& names, const char* field) {
  for (const auto& name : names) {
    if (is_name(name)) continue;
    return Error(ErrorCode::kInvalidArgument, fmt::format("{}: \"{}\" is not 1 to 64 of [A-Za-z0-9._-]", field, name)).at_field(field);
  }
  return {};
}

}  // namespace

Result<void> MetricAllowList::validate() const {
  if (auto valid = check_names(accounts, "metrics.accounts"); !valid) return valid;
  if (auto valid = check_names(flows, "metrics.flows"); !valid) return valid;
  // Each is checked alone first, so that the product cannot overflow.
  if (accounts.size() >= kMaxPairs || flows.size() >= kMaxPairs || (accounts.size() + 1) * (flows.size() + 1) > kMaxPairs) {
    return Error(ErrorCode::kInvalidArgument,
                 fmt::format("metrics.accounts: {} accounts and {} flows make more than {} pairs (each with \"other\")", accounts.size(),
                             flows.size(), kMaxPairs))
        .at_field("metrics.accounts");
  }
  return {};
}

namespace detail {

namespace {

constexpr std::string_view kOther = "other";

std::vector<std::string> tidied(std::vector<std::string> names) {
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// 0 = other, else the place + 1.
std::uint32_t place_of(const std::vector<std::string>& names, std::string_view name) noexcept {
  const auto found = std::ranges::lower_bound(names, name);
  if (found == names.end() || *found != name) return 0;
  return static_cast<std::uint32_t>(found - names.begin()) + 1;
}

std::string_view name_at(const std::vector<std::string>& names, std::uint32_t place) noexcept {
  return place == 0 ? kOther : std::string_view(names[place - 1]);
}

}  // namespace

FlowLabels::FlowLabels(MetricAllowList allowed)
    : accounts_(tidied(std::move(allowed.accounts))), flows_(tidied(std::move(allowed.flows))) {}

std::uint32_t FlowLabels::series_of(std::string_view account, std::string_view flow) const noexcept {
  return place_of(accounts_, account) * static_cast<std::uint32_t>(flows_.size() + 1) + place_of(flows_, flow);
}

void FlowLabels::add(Metrics& metrics, std::string_view counter, double amount, MetricLabel extra, std::uint32_t series) const noexcept {
  const auto width = static_cast<std::uint32_t>(flows_.size() + 1);
  const MetricLabel account{"account", name_at(accounts_, series / width)};
  const MetricLabel flow{"flow", name_at(flows_, series % width)};
  if (flows_.empty()) return metrics.add(counter, amount, {extra, account});
  if (accounts_.empty()) return metrics.add(counter, amount, {extra, flow});
  metrics.add(counter, amount, {extra, account, flow});
}

void FlowTally::sort() { std::ranges::sort(hits_); }

}  // namespace detail

}  // namespace setget::inline v0
