#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <variant>

#include <setget/observe.hpp>

namespace setget::inline v0 {

namespace {

// Time series kept at most. A label whose values never end (a key, an id) is a mistake that must not take the host's memory.
constexpr std::size_t kMaxSeries = 10'000;

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

prometheus::Labels to_labels(MetricLabels labels) {
  prometheus::Labels out;
  for (const auto& label : labels) out.emplace(label.name, label.value);
  return out;
}

// Name and labels as one text; 0x1F and 0x1E cannot be part of a metric's or a label's name.
void write_key(std::string& out, std::string_view name, MetricLabels labels) {
  out.assign(name);
  for (const auto& label : labels) {
    out += '\x1f';
    out += label.name;
    out += '\x1e';
    out += label.value;
  }
}

prometheus::Histogram::BucketBoundaries buckets_for(std::string_view name) {
  if (name.ends_with("_seconds")) {
    return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600};
  }
  if (name.ends_with("_bytes")) return {64, 256, 1024, 4096, 16'384, 65'536, 262'144, 1'048'576, 4'194'304, 16'777'216};
  return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096};
}

constexpr std::string_view kHelp = "See docs/metrics.md.";

}  // namespace

struct PrometheusMetrics::State {
  using Series = std::variant<prometheus::Counter*, prometheus::Gauge*, prometheus::Histogram*>;

  // What a thread found last: a server counts the same few series for each request. Series stay as long as their State, whose number no
  // other one gets.
  struct Known {
    std::uint64_t whose = 0;
    std::string key{};
    Series found{};

    static Known& of(std::string_view key) {
      constexpr std::size_t kPlaces = 16;
      thread_local std::array<Known, kPlaces> all;
      if (key.empty()) return all[0];
      return all[(key.size() * 7 + static_cast<unsigned char>(key.back()) + static_cast<unsigned char>(key[key.size() / 2])) % kPlaces];
    }
  };

  State()
      : dropped(prometheus::BuildCounter()
                    .Name("setget_metrics_dropped_total")
                    .Help("Observations dropped: bad name, name used with another type, or too many time series.")
                    .Register(registry)
                    .Add({})) {}

  // The series of a name and labels, made by `make` when it is new. Null if it cannot be.
  template <class T, class Make>
  T* find(std::string_view name, MetricLabels labels, Make make) {
    thread_local std::string key;
    write_key(key, name, labels);
    auto& known = Known::of(key);
    if (known.whose == number && known.key == key) return as<T>(known.found);
    {
      const std::shared_lock lock(mutex);
      if (const auto it = series.find(std::string_view(key)); it != series.end()) {
        known = {.whose = number, .key = key, .found = it->second};
        return as<T>(it->second);
      }
    }
    const std::unique_lock lock(mutex);
    if (const auto it = series.find(std::string_view(key)); it != series.end()) return as<T>(it->second);
    if (series.size() >= kMaxSeries) return nullptr;
    T* made = &make(std::string(name), to_labels(labels));
    series.emplace(key, made);
    return made;
  }

  template <class T>
  static T* as(const Series& found) {
    const auto* held = std::get_if<T*>(&found);
    return held != nullptr ? *held : nullptr;
  }

  // prometheus-cpp throws on bad names and on a name that has another type already.
  template <class T, class Make, class Use>
  void update(std::string_view name, MetricLabels labels, Make make, Use use) noexcept {
    try {
      if (T* found = find<T>(name, labels, make)) return use(*found);
    } catch (const std::exception&) {
      // Counted below: a metric must never fail the work that it measures.
    }
    dropped.Increment();
  }

  static std::uint64_t next_number() noexcept {
    static std::atomic<std::uint64_t> numbers{0};
    return ++numbers;
  }

  const std::uint64_t number = next_number();
  prometheus::Registry registry;
  prometheus::Counter& dropped;
  std::shared_mutex mutex;
  std::unordered_map<std::string, Series, TextHash, std::equal_to<>> series;
};

PrometheusMetrics::PrometheusMetrics() : state_(std::make_unique<State>()) {}
PrometheusMetrics::~PrometheusMetrics() = default;

void PrometheusMetrics::add(std::string_view counter, double amount, MetricLabels labels) noexcept {
  state_->update<prometheus::Counter>(
      counter, labels,
      [this](const std::string& name, const prometheus::Labels& set) -> prometheus::Counter& {
        return prometheus::BuildCounter().Name(name).Help(std::string(kHelp)).Register(state_->registry).Add(set);
      },
      [amount](prometheus::Counter& found) { found.Increment(amount); });
}

void PrometheusMetrics::set(std::string_view gauge, double value, MetricLabels labels) noexcept {
  state_->update<prometheus::Gauge>(
      gauge, labels,
      [this](const std::string& name, const prometheus::Labels& set) -> prometheus::Gauge& {
        return prometheus::BuildGauge().Name(name).Help(std::string(kHelp)).Register(state_->registry).Add(set);
      },
      [value](prometheus::Gauge& found) { found.Set(value); });
}

void PrometheusMetrics::observe(std::string_view histogram, double value, MetricLabels labels) noexcept {
  state_->update<prometheus::Histogram>(
      histogram, labels,
      [this](const std::string& name, const prometheus::Labels& set) -> prometheus::Histogram& {
        return prometheus::BuildHistogram().Name(name).Help(std::string(kHelp)).Register(state_->registry).Add(set, buckets_for(name));
      },
      [value](prometheus::Histogram& found) { found.Observe(value); });
}

std::string PrometheusMetrics::expose() const { return prometheus::TextSerializer().Serialize(state_->registry.Collect()); }

}  // namespace setget::inline v0
