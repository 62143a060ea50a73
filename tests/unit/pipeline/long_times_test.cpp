// Lengths of time at the end of what a clock holds: what cannot be added to a moment is refused by name, everything else means "very long".
#include "pipeline/archive_breaker.hpp"
#include "pipeline/missing_names.hpp"

#include "archive_support.hpp"

namespace {

using namespace setget_test;

constexpr auto kLongest = Milliseconds::max();
constexpr Milliseconds kTenYears(std::chrono::hours(24 * 3653));

TEST(LongTimes, a_pipeline_refuses_what_it_cannot_wait_for) {
  const auto refused = [](auto change) {
    World world;
    auto options = world.pipeline_options();
    change(options);
    const auto made = Pipeline::create(std::move(options));
    return made ? std::string() : made.error().field();
  };
  EXPECT_EQ(refused([](auto& options) { options.maintenance_interval = kLongest; }), "maintenance_interval");
  EXPECT_EQ(refused([](auto& options) { options.archive_jitter = kLongest; }), "archive_jitter");
  EXPECT_EQ(refused([](auto& options) { options.archive_retry_after = options.archive_retry_cap = kLongest; }), "archive_retry_after");
  EXPECT_EQ(refused([](auto& options) { options.archive_retry_cap = kLongest; }), "archive_retry_cap");
  EXPECT_EQ(refused([](auto& options) { options.backoff.cap = kLongest; }), "backoff.cap");
  EXPECT_EQ(refused([](auto& options) { options.backoff.outage_cap = Milliseconds(-1); }), "backoff.outage_cap");
  EXPECT_EQ(refused([](auto& options) {
              options.maintenance_interval = options.archive_jitter = options.backoff.cap = kTenYears;
              options.archive_retry_after = options.archive_retry_cap = kTenYears;
              options.archive_retry_window = options.expiry_grace = options.linger = kLongest;
            }),
            "");
}

TEST(LongTimes, worker_and_archiver_refuse_leases_that_no_clock_can_end) {
  World world;
  auto worker = world.worker_options();
  worker.visibility_timeout = kLongest;
  EXPECT_EQ(worker.validate().error().field(), "visibility_timeout");
  ArchiverOptions archiver{.key_store = world.key_store, .archive = world.archive, .policy = world.policy};
  archiver.lease = kLongest;
  EXPECT_EQ(archiver.validate().error().field(), "lease");
}

TEST(LongTimes, a_pipeline_that_rests_for_ten_years_stops_at_once) {
  World world;
  auto options = world.pipeline_options();
  options.maintenance_interval = kTenYears;
  auto pipeline = Pipeline::create(std::move(options)).value();
  ASSERT_TRUE(pipeline->start());
  EXPECT_TRUE(pipeline->stop(patience()));
}

TEST(LongTimes, pauses_and_ages_without_end_last) {
  const TimePoint now{Milliseconds(1'700'000'000'000)};
  detail::ArchiveBreaker breaker(1, kLongest);
  breaker.failed(now);
  EXPECT_FALSE(breaker.admit(now + kTenYears));
  detail::MissingNames missing(10, kLongest);
  missing.add("k", now);
  EXPECT_TRUE(missing.has("k", now + kTenYears));
}

TEST(LongTimes, an_archive_that_is_asked_without_a_time_limit_answers) {
  World world;
  ReadThroughOptions through;
  through.timeout = kLongest;
  through.negative_age = kLongest;
  const auto reader =
      Reader::create(
          {.key_store = world.key_store, .archive = world.archive, .read_through = true, .through = through, .clock = world.clock})
          .value();
  const auto found = reader->get("k", {}, patience());
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_FALSE(*found);
}

TEST(LongTimes, before_a_run_that_is_never_all_that_ends_is_left_out) {
  World world({}, flows_with_default(Ttl::after(days(365))));
  auto pipeline = world.pipeline();
  ASSERT_TRUE(world.ingress()->set(request("x", {"k"})));
  auto worker = world.worker();
  drain(*worker);
  const auto archiver =
      Archiver::create(
          {.key_store = world.key_store, .archive = world.archive, .policy = world.policy, .next_run_in = kLongest, .clock = world.clock})
          .value();
  EXPECT_EQ(archiver->run().value().skipped_short_lived, 1u);
}

// A simulated clock shows it: no wait at all would ask again at the same moment, as fast as a core can.
TEST(LongTimes, a_subscription_that_fails_waits_a_moment_also_without_a_backoff) {
  World world;
  auto options = world.pipeline_options();
  options.backoff = {.base = Milliseconds(0), .cap = Milliseconds(0), .outage_cap = Milliseconds(0)};
  auto pipeline = Pipeline::create(std::move(options)).value();
  int calls = 0;
  ASSERT_TRUE(pipeline->subscribe("feed", [&](const ChangeBatch&) -> Result<void> {
    ++calls;
    return Error(ErrorCode::kUnavailable, "not now");
  }));
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pipeline->run_once());
  EXPECT_EQ(calls, 1);
  world.clock->advance(Milliseconds(1));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pipeline->run_once());
  EXPECT_EQ(calls, 2);
}

}  // namespace
