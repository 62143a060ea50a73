// Logger and Metrics: what the SDK tells its host. Both default to doing nothing. Errors that a caller gets back are not logged again.
// Thread rule: implementations must be safe from any thread, must not block and must not throw.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <setget/error.hpp>
#include <setget/export.hpp>

namespace setget::inline v0 {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };
SETGET_API std::string_view to_string(LogLevel level) noexcept;

struct LogField {
  std::string_view name{};
  std::string_view value{};
};

class SETGET_API Logger {
 public:
  virtual ~Logger();
  virtual bool enabled(LogLevel level) const noexcept = 0;
  // `message` is a constant sentence; what varies is in the fields. Payloads and attribute values are never logged.
  virtual void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) noexcept = 0;
};

struct MetricLabel {
  std::string_view name{};
  std::string_view value{};
};
using MetricLabels = std::initializer_list<MetricLabel>;

// The accounts and flows that may be values of the labels `account` and `flow`; everything else, and what has none, is counted as "other".
// An empty list: the label does not exist. Users choose the names of accounts and flows, so without a list the number of time series would
// have no bound. Only the counters of accepted requests and of outcomes have these labels.
struct MetricAllowList {
  std::vector<std::string> accounts{};
  std::vector<std::string> flows{};
  bool empty() const noexcept { return accounts.empty() && flows.empty(); }
  // Names of accounts and flows, and at most 1000 pairs of them ("other" included). Error: kInvalidArgument with field = metrics.….
  SETGET_API Result<void> validate() const;
  friend bool operator==(const MetricAllowList&, const MetricAllowList&) = default;
};

// Names follow Prometheus (prometheus.io/docs/practices/naming): setget_…_total counters, base units in the name. Account and
// flow are labels only by allow-list. docs/metrics.md lists all of them.
class SETGET_API Metrics {
 public:
  virtual ~Metrics();
  virtual void add(std::string_view counter, double amount, MetricLabels labels) noexcept = 0;
  virtual void set(std::string_view gauge, double value, MetricLabels labels) noexcept = 0;
  virtual void observe(std::string_view histogram, double value, MetricLabels labels) noexcept = 0;
};

SETGET_API std::shared_ptr<Logger> no_logger();
SETGET_API std::shared_ptr<Metrics> no_metrics();

// Metrics that can be read as Prometheus text exposition format 0.0.4.
class SETGET_API PrometheusMetrics : public Metrics {
 public:
  PrometheusMetrics();
  ~PrometheusMetrics() override;
  void add(std::string_view counter, double amount, MetricLabels labels) noexcept override;
  void set(std::string_view gauge, double value, MetricLabels labels) noexcept override;
  void observe(std::string_view histogram, double value, MetricLabels labels) noexcept override;
  std::string expose() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
