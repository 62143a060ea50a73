#include <setget/observe.hpp>

namespace setget::inline v0 {

Logger::~Logger() = default;
Metrics::~Metrics() = default;

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "unknown";
}

namespace {

class NoLogger final : public Logger {
 public:
  bool enabled(LogLevel) const noexcept override { return false; }
  void log(LogLevel, std::string_view, std::initializer_list<LogField>) noexcept override {}
};

class NoMetrics final : public Metrics {
 public:
  void add(std::string_view, double, MetricLabels) noexcept override {}
  void set(std::string_view, double, MetricLabels) noexcept override {}
  void observe(std::string_view, double, MetricLabels) noexcept override {}
};

}  // namespace

std::shared_ptr<Logger> no_logger() {
  static const auto logger = std::make_shared<NoLogger>();
  return logger;
}

std::shared_ptr<Metrics> no_metrics() {
  static const auto metrics = std::make_shared<NoMetrics>();
  return metrics;
}

}  // namespace setget::inline v0
