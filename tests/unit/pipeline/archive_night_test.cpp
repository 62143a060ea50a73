// The nightly archive run as a pipeline makes it, under the simulated clock.
#include "archive_support.hpp"

namespace {

using namespace setget_test;
using std::chrono::hours;
using std::chrono::minutes;

struct NightWorld : ArchiveWorld {
  std::shared_ptr<PrometheusMetrics> metrics = std::make_shared<PrometheusMetrics>();
  std::vector<ArchiveNotice> notices;
  std::unique_ptr<Pipeline> night;

  void open(const std::function<void(PipelineOptions&)>& change = {}) {
    auto options = pipeline_options();
    options.metrics = metrics;
    options.archive_schedule = "0 0 2 * * *";
    options.archive_retry_after = minutes(1);
    options.archive_retry_cap = minutes(4);
    options.archive_retry_window = minutes(20);
    options.on_archive_notice = [this](const ArchiveNotice& notice) { notices.push_back(notice); };
    if (change) change(options);
    night = Pipeline::create(std::move(options)).value();
  }
  // Minute by minute.
  void pass(Milliseconds length) {
    for (const auto end = clock->now() + length; clock->now() < end;) {
      clock->advance(minutes(1));
      ASSERT_TRUE(night->run_once());
    }
  }
  void to_the_hour(int hour) {
    const auto today = std::chrono::floor<std::chrono::days>(clock->now());
    const auto at = TimePoint(today) + hours(hour);
    clock->set(at > clock->now() ? at : at + hours(24));
  }
  bool exposes(const std::string& line) { return metrics->expose().find(line + "\n") != std::string::npos; }
};

TEST(ArchiveNight, tries_again_until_the_archive_is_back) {
  NightWorld world;
  world.open();
  world.set_many(5);
  world.to_the_hour(1);
  world.fragile->writes_left = 0;
  world.pass(minutes(65));
  EXPECT_TRUE(world.exposes("setget_archive_last_run_ok 0"));
  EXPECT_TRUE(world.exposes("setget_archive_lag_changes 0")) << "a first copy is no change";
  world.fragile->writes_left = -1;
  world.pass(minutes(5));
  EXPECT_EQ(world.archive_stats().records, 5u);
  EXPECT_TRUE(world.notices.empty());
  EXPECT_TRUE(world.exposes("setget_archive_last_run_ok 1"));
  EXPECT_TRUE(world.night->scheduler().jobs().value().at(0).last_ok);
}

TEST(ArchiveNight, tells_who_wants_to_know_once_its_window_is_over) {
  NightWorld world;
  world.open();
  world.set_many(5);
  world.to_the_hour(1);
  world.fragile->writes_left = 0;
  world.pass(hours(3));
  ASSERT_EQ(world.notices.size(), 1u);
  EXPECT_EQ(world.notices[0].kind, ArchiveNotice::Kind::kFailed);
  EXPECT_EQ(world.notices[0].attempts, 7u) << "0, 1, 3, 7, 11, 15 and 19 minutes after two";
  EXPECT_NE(world.notices[0].what.find("the archive is away"), std::string::npos);
  EXPECT_TRUE(world.exposes("setget_schedule_given_up_total{job=\"archive\"} 1"));
  // The next night goes well.
  world.fragile->writes_left = -1;
  world.pass(hours(24));
  EXPECT_EQ(world.archive_stats().records, 5u);
  EXPECT_EQ(world.notices.size(), 1u);
}

TEST(ArchiveNight, another_store_is_no_matter_of_trying_again) {
  NightWorld other;
  other.set_many(1, "other");
  ASSERT_TRUE(other.archiver->run());
  NightWorld world;
  world.clock->set(other.clock->now());
  world.archive = other.archive;
  world.open();
  world.set_many(5);
  world.to_the_hour(1);
  world.pass(hours(3));
  ASSERT_EQ(world.notices.size(), 1u);
  EXPECT_EQ(world.notices[0].kind, ArchiveNotice::Kind::kOtherStore);
  EXPECT_EQ(world.notices[0].attempts, 1u);
  EXPECT_EQ(other.archive_stats().records, 1u) << "nothing was written";
  EXPECT_TRUE(world.exposes("setget_archive_identity_alarm 1"));
}

TEST(ArchiveNight, says_that_archive_and_store_differ_and_lives_with_a_hook_that_throws) {
  NightWorld world;
  int told = 0;
  world.open([&](PipelineOptions& options) {
    options.on_archive_notice = [&](const ArchiveNotice& notice) {
      ++told;
      EXPECT_EQ(notice.kind, ArchiveNotice::Kind::kDifferences);
      EXPECT_EQ(notice.differences, 1u);
      throw std::runtime_error("the pager is broken");
    };
  });
  world.set_many(5);
  ASSERT_TRUE(world.archiver->run());
  const ArchiveId lost{"", "r1"};
  ASSERT_TRUE(world.archive->remove({&lost, 1}));
  world.to_the_hour(1);
  world.pass(hours(2));
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(world.exposes("setget_archive_differences 1"));
  EXPECT_TRUE(world.night->scheduler().jobs().value().at(0).last_ok) << "the run itself went well";
  EXPECT_EQ(world.night->archiver()->checkpoint().value()->last_differences, 1u);
}

TEST(ArchiveNight, verifies_nothing_where_it_is_told_so) {
  NightWorld world;
  world.open([](PipelineOptions& options) { options.archive_verify_sample = 0; });
  world.set_many(5);
  ASSERT_TRUE(world.archiver->run());
  const ArchiveId lost{"", "r1"};
  ASSERT_TRUE(world.archive->remove({&lost, 1}));
  world.to_the_hour(1);
  world.pass(hours(2));
  EXPECT_TRUE(world.notices.empty());
  EXPECT_EQ(world.night->archiver()->checkpoint().value()->verify_turn, 0u);
}

TEST(ArchiveNight, what_waits_to_be_archived_is_a_metric_also_after_a_restart) {
  NightWorld world;
  world.set_many(5);
  ASSERT_TRUE(world.archiver->run());
  const auto success = std::chrono::duration_cast<std::chrono::seconds>(world.clock->now().time_since_epoch()).count();
  world.clock->advance(minutes(10));
  world.set_many(3, "s");
  world.clock->advance(minutes(2));
  world.open();
  ASSERT_TRUE(world.night->run_once());
  EXPECT_TRUE(world.exposes("setget_archive_lag_changes 3"));
  EXPECT_TRUE(world.exposes("setget_archive_oldest_change_age_seconds 120")) << world.metrics->expose();
  EXPECT_NE(world.metrics->expose().find("setget_archive_last_success_timestamp_seconds " + std::to_string(success)), std::string::npos)
      << world.metrics->expose();
}

}  // namespace
