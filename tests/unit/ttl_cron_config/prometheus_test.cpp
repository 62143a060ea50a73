#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <setget/observe.hpp>

using namespace setget;

namespace {

bool has_line(const std::string& text, const std::string& line) { return ("\n" + text).find("\n" + line + "\n") != std::string::npos; }

}  // namespace

TEST(PrometheusMetrics, exposes_counters_gauges_and_histograms_as_text) {
  PrometheusMetrics metrics;
  metrics.add("setget_sets_total", 2, {{"result", "ok"}});
  metrics.add("setget_sets_total", 3, {{"result", "ok"}});
  metrics.add("setget_sets_total", 1, {{"result", "refused"}});
  metrics.set("setget_queue_depth", 7, {});
  metrics.observe("setget_apply_seconds", 0.003, {});
  const auto text = metrics.expose();
  EXPECT_TRUE(has_line(text, "# TYPE setget_sets_total counter")) << text;
  EXPECT_TRUE(has_line(text, "setget_sets_total{result=\"ok\"} 5")) << text;
  EXPECT_TRUE(has_line(text, "setget_sets_total{result=\"refused\"} 1")) << text;
  EXPECT_TRUE(has_line(text, "setget_queue_depth 7")) << text;
  EXPECT_TRUE(has_line(text, "setget_apply_seconds_bucket{le=\"0.0025\"} 0")) << text;
  EXPECT_TRUE(has_line(text, "setget_apply_seconds_bucket{le=\"0.005\"} 1")) << text;
  EXPECT_TRUE(has_line(text, "setget_apply_seconds_count 1")) << text;
}

TEST(PrometheusMetrics, a_label_value_cannot_forge_lines) {
  PrometheusMetrics metrics;
  metrics.add("setget_sets_total", 1, {{"account", "a\"} 99\nforged_total 1"}});
  EXPECT_EQ(metrics.expose().find("\nforged_total"), std::string::npos);
}

TEST(PrometheusMetrics, what_it_cannot_take_is_dropped_and_counted) {
  PrometheusMetrics metrics;
  metrics.add("not a name", 1, {});
  metrics.add("setget_x_total", 1, {});
  metrics.set("setget_x_total", 1, {});
  metrics.add("setget_y_total", 1, {{"bad-label", "x"}});
  EXPECT_TRUE(has_line(metrics.expose(), "setget_metrics_dropped_total 3")) << metrics.expose();
}

TEST(PrometheusMetrics, the_number_of_series_is_bounded) {
  PrometheusMetrics metrics;
  for (int i = 0; i < 10'500; ++i) metrics.add("setget_keys_total", 1, {{"key", std::to_string(i)}});
  EXPECT_TRUE(has_line(metrics.expose(), "setget_metrics_dropped_total 500"));
}

TEST(PrometheusMetrics, counts_from_many_threads_add_up) {
  PrometheusMetrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) metrics.add("setget_sets_total", 1, {{"thread", i % 2 == 0 ? "a" : "b"}});
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(has_line(metrics.expose(), "setget_sets_total{thread=\"a\"} 10000"));
  EXPECT_TRUE(has_line(metrics.expose(), "setget_sets_total{thread=\"b\"} 10000"));
}

// What a thread remembers of a series is of one object: not of another one, nor of one that stood in its place before.
TEST(PrometheusMetrics, objects_on_one_thread_count_for_themselves) {
  PrometheusMetrics first;
  PrometheusMetrics second;
  for (int i = 0; i < 3; ++i) {
    first.add("setget_things_total", 1, {{"kind", "a"}});
    second.add("setget_things_total", 10, {{"kind", "a"}});
    second.set("setget_level", i, {});
  }
  EXPECT_TRUE(has_line(first.expose(), "setget_things_total{kind=\"a\"} 3")) << first.expose();
  EXPECT_TRUE(has_line(second.expose(), "setget_things_total{kind=\"a\"} 30")) << second.expose();
  EXPECT_TRUE(has_line(second.expose(), "setget_level 2")) << second.expose();
  for (int i = 0; i < 3; ++i) {
    const auto fresh = std::make_unique<PrometheusMetrics>();
    fresh->add("setget_things_total", 1, {{"kind", "a"}});
    fresh->add("setget_things_total", 1, {{"kind", "a"}});
    EXPECT_TRUE(has_line(fresh->expose(), "setget_things_total{kind=\"a\"} 2")) << fresh->expose();
    // A series of another type under this name is refused, remembered or not.
    fresh->set("setget_things_total", 5, {{"kind", "a"}});
    fresh->set("setget_things_total", 5, {{"kind", "a"}});
    EXPECT_TRUE(has_line(fresh->expose(), "setget_metrics_dropped_total 2")) << fresh->expose();
    fresh->add("", 1, {});
    EXPECT_TRUE(has_line(fresh->expose(), "setget_metrics_dropped_total 3")) << fresh->expose();
  }
}
