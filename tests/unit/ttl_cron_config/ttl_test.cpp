#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

#include <setget/ttl.hpp>

using namespace setget;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

Ttl ttl(Milliseconds length) { return Ttl::after(length); }

// Every rule says something else, so that the winner shows.
Flows all_rules() {
  Flows flows;
  flows.default_ttl = ttl(hours(1));
  flows.flows["orders"].ttl = ttl(hours(2));
  flows.accounts["acme"].ttl = ttl(hours(3));
  flows.accounts["acme"].flows["orders"].ttl = ttl(hours(4));
  return flows;
}

struct Resolved {
  Ttl ttl;
  TtlRule rule;
  friend bool operator==(const Resolved&, const Resolved&) = default;
};
Resolved resolve(const TtlPolicy& policy, std::string_view account, std::string_view flow, std::optional<Ttl> message = {}) {
  const auto decision = policy.resolve(account, flow, message);
  return {decision.ttl, decision.rule};
}

}  // namespace

TEST(TtlPolicy, the_strongest_rule_wins) {
  const TtlPolicy policy(all_rules());
  EXPECT_EQ(resolve(policy, "acme", "orders", ttl(hours(5))), (Resolved{ttl(hours(5)), TtlRule::kMessage}));
  EXPECT_EQ(resolve(policy, "acme", "orders"), (Resolved{ttl(hours(4)), TtlRule::kAccountFlow}));
  EXPECT_EQ(resolve(policy, "acme", "other"), (Resolved{ttl(hours(3)), TtlRule::kAccount}));
  EXPECT_EQ(resolve(policy, "other", "orders"), (Resolved{ttl(hours(2)), TtlRule::kFlow}));
  EXPECT_EQ(resolve(policy, "other", "other"), (Resolved{ttl(hours(1)), TtlRule::kDefault}));
  EXPECT_EQ(resolve(policy, "", ""), (Resolved{ttl(hours(1)), TtlRule::kDefault}));
}

TEST(TtlPolicy, an_account_is_stronger_than_a_flow_of_every_account) {
  auto flows = all_rules();
  flows.accounts["acme"].flows.clear();
  EXPECT_EQ(resolve(TtlPolicy(flows), "acme", "orders"), (Resolved{ttl(hours(3)), TtlRule::kAccount}));
}

TEST(TtlPolicy, without_any_rule_a_record_lives_for_ever) {
  EXPECT_EQ(resolve(TtlPolicy(), "acme", "orders"), (Resolved{Ttl::never(), TtlRule::kDefault}));
}

TEST(TtlPolicy, never_is_a_value_that_a_stronger_rule_can_give) {
  auto flows = all_rules();
  flows.accounts["acme"].flows["orders"].ttl = Ttl::never();
  EXPECT_EQ(resolve(TtlPolicy(flows), "acme", "orders"), (Resolved{Ttl::never(), TtlRule::kAccountFlow}));
}

TEST(TtlPolicy, clamps_what_the_rule_said_and_says_by_what) {
  auto flows = all_rules();
  flows.max_ttl = ttl(hours(100));
  flows.accounts["acme"].max_ttl = ttl(hours(2));
  flows.accounts["acme"].flows["orders"].min_ttl = ttl(hours(1));
  const TtlPolicy policy(flows);
  const auto cut = policy.resolve("acme", "orders", std::nullopt);
  EXPECT_EQ(cut.ttl, ttl(hours(2)));
  EXPECT_EQ(cut.rule, TtlRule::kAccountFlow);
  EXPECT_EQ(cut.clamped_from, ttl(hours(4)));
  EXPECT_EQ(cut.clamped_by, "accounts.acme.max_ttl");
  const auto raised = policy.resolve("acme", "orders", ttl(seconds(1)));
  EXPECT_EQ(raised.ttl, ttl(hours(1)));
  EXPECT_EQ(raised.clamped_by, "accounts.acme.flows.orders.min_ttl");
  const auto never = policy.resolve("other", "other", Ttl::never());
  EXPECT_EQ(never.ttl, ttl(hours(100)));
  EXPECT_EQ(never.clamped_from, Ttl::never());
  EXPECT_EQ(never.clamped_by, "ttl.max_ttl");
}

TEST(TtlPolicy, the_tightest_of_several_bounds_holds_and_an_accounts_own_flow_replaces_the_general_one) {
  Flows flows;
  flows.max_ttl = ttl(hours(10));
  flows.flows["orders"].max_ttl = ttl(hours(5));
  flows.accounts["acme"].max_ttl = ttl(hours(8));
  EXPECT_EQ(TtlPolicy(flows).resolve("acme", "orders", Ttl::never()).clamped_by, "flows.orders.max_ttl");
  EXPECT_EQ(TtlPolicy(flows).resolve("acme", "other", Ttl::never()).clamped_by, "accounts.acme.max_ttl");
  flows.accounts["acme"].flows["orders"].max_ttl = ttl(hours(9));
  EXPECT_EQ(TtlPolicy(flows).resolve("acme", "orders", Ttl::never()).ttl, ttl(hours(8)));
}

TEST(TtlPolicy, a_min_of_never_makes_records_immortal) {
  Flows flows;
  flows.accounts["acme"].min_ttl = Ttl::never();
  EXPECT_EQ(TtlPolicy(flows).resolve("acme", "orders", ttl(seconds(1))).ttl, Ttl::never());
}

TEST(TtlPolicy, explain_names_every_rule_and_the_winner) {
  auto flows = all_rules();
  flows.accounts["acme"].max_ttl = ttl(hours(2));
  EXPECT_EQ(
      TtlPolicy(flows).explain("acme", "orders", std::nullopt).explanation,
      "A record of account \"acme\" and flow \"orders\" lives 2h, cut from 4h by accounts.acme.max_ttl: message is not set; "
      "accounts.acme.flows.orders.ttl = 4h wins; accounts.acme.ttl = 3h is weaker; flows.orders.ttl = 2h is weaker; ttl.default = 1h is "
      "weaker.");
  EXPECT_EQ(TtlPolicy().explain("a", "b", std::nullopt).explanation,
            "A record of account \"a\" and flow \"b\" lives for ever: message is not set; accounts.a.flows.b.ttl is not set; "
            "accounts.a.ttl is not "
            "set; flows.b.ttl is not set; ttl.default is not set (never) wins.");
}

TEST(TtlPolicy, explain_decides_as_resolve_does) {
  auto flows = all_rules();
  flows.accounts["acme"].max_ttl = ttl(hours(2));
  const TtlPolicy policy(flows);
  for (const auto* account : {"acme", "other", ""}) {
    for (const auto* flow : {"orders", "other", ""}) {
      for (const auto& message : {std::optional<Ttl>(), std::optional(ttl(hours(9))), std::optional(Ttl::never())}) {
        const auto a = policy.resolve(account, flow, message);
        const auto b = policy.explain(account, flow, message);
        EXPECT_EQ(a.ttl, b.ttl);
        EXPECT_EQ(a.rule, b.rule);
        EXPECT_EQ(a.clamped_by, b.clamped_by);
        EXPECT_TRUE(a.explanation.empty());
        EXPECT_FALSE(b.explanation.empty());
      }
    }
  }
}

TEST(TtlPolicy, expiry_counts_from_acceptance_and_saturates) {
  const TimePoint accepted{Milliseconds(1'700'000'000'000)};
  EXPECT_EQ(TtlPolicy::expires_at(accepted, ttl(seconds(90))), accepted + seconds(90));
  EXPECT_EQ(TtlPolicy::expires_at(accepted, Ttl::never()), std::nullopt);
  EXPECT_EQ(TtlPolicy::expires_at(accepted, ttl(Milliseconds(-5))), accepted);
  const auto far = TtlPolicy::expires_at(accepted, ttl(Milliseconds::max()));
  ASSERT_TRUE(far.has_value());
  EXPECT_GT(*far, accepted + hours(24 * 365 * 1000));
  EXPECT_GT(*far + hours(24 * 365), *far);  // a grace added to it does not overflow
  EXPECT_EQ(TtlPolicy::expires_at(TimePoint::max(), ttl(seconds(1))), far);
}

TEST(TtlPolicy, reload_swaps_good_flows_and_keeps_the_old_ones_on_bad) {
  TtlPolicy policy(all_rules());
  Flows fresh;
  fresh.default_ttl = ttl(minutes(1));
  ASSERT_TRUE(policy.reload(fresh).has_value());
  EXPECT_EQ(resolve(policy, "acme", "orders").ttl, ttl(minutes(1)));
  Flows bad;
  bad.min_ttl = ttl(hours(2));
  bad.max_ttl = ttl(hours(1));
  const auto refused = policy.reload(bad);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(resolve(policy, "acme", "orders").ttl, ttl(minutes(1)));
}

TEST(TtlPolicy, readers_see_one_policy_or_the_other_while_it_is_reloaded) {
  Flows a;
  a.default_ttl = ttl(hours(1));
  a.max_ttl = ttl(hours(1));
  Flows b;
  b.default_ttl = ttl(hours(2));
  b.max_ttl = ttl(hours(2));
  TtlPolicy policy(a);
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    while (!done) {
      const auto decision = policy.resolve("x", "y", std::nullopt);
      if (decision.clamped_from || (decision.ttl != a.default_ttl && decision.ttl != b.default_ttl)) ++torn;
    }
  });
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(policy.reload(i % 2 == 0 ? b : a).has_value());
  done = true;
  reader.join();
  EXPECT_EQ(torn, 0);
}

TEST(Flows, min_above_max_is_refused_wherever_both_can_meet) {
  const auto field = [](const Flows& flows) {
    const auto valid = flows.validate();
    return valid ? std::string() : valid.error().field();
  };
  Flows base;
  base.max_ttl = ttl(hours(1));
  EXPECT_EQ(field(base), "");
  auto flows = base;
  flows.accounts["acme"].min_ttl = ttl(hours(2));
  EXPECT_EQ(field(flows), "accounts.acme.min_ttl");
  flows = base;
  flows.flows["orders"].min_ttl = ttl(hours(2));
  EXPECT_EQ(field(flows), "flows.orders.min_ttl");
  flows = base;
  flows.accounts["acme"].flows["orders"].min_ttl = Ttl::never();
  EXPECT_EQ(field(flows), "accounts.acme.flows.orders.min_ttl");
  // A flow of every account meets every account's bounds.
  Flows across;
  across.accounts["acme"].max_ttl = ttl(hours(1));
  across.flows["orders"].min_ttl = ttl(hours(2));
  EXPECT_EQ(field(across), "flows.orders.min_ttl");
  across.accounts["acme"].flows["orders"].min_ttl = ttl(seconds(1));
  EXPECT_EQ(field(across), "");
}

TEST(Flows, names_and_lives_are_checked) {
  Flows flows;
  flows.accounts["a b"];
  EXPECT_EQ(flows.validate().error().field(), "accounts.\"a b\"");
  flows = {};
  flows.flows["orders"].ttl = ttl(Milliseconds(0));
  EXPECT_EQ(flows.validate().error().field(), "flows.orders.ttl");
  flows = {};
  SchemaVersions versions{.by = "header:X-Version"};
  versions.schemas.emplace("1", json_schema::Validator::compile("{}").value());
  flows.flows["orders"].schema = PayloadSchema::of(std::move(versions)).value();
  ASSERT_FALSE(flows.validate().has_value()) << "a record has no headers";
  EXPECT_EQ(flows.validate().error().field(), "flows.orders.schema");
}

TEST(Flows, effective_options_inherit_from_the_flow_of_every_account) {
  Flows flows;
  flows.flows["orders"].index = true;
  flows.flows["orders"].archive = ArchiveMode::kAlways;
  flows.accounts["acme"].flows["orders"].archive = ArchiveMode::kSkip;
  flows.accounts["acme"].flows["orders"].versions = VersionMode::kCaller;
  const auto own = flows.effective("acme", "orders");
  EXPECT_EQ(own.index, true);
  EXPECT_EQ(own.archive, ArchiveMode::kSkip);
  EXPECT_EQ(own.versions, VersionMode::kCaller);
  const auto general = flows.effective("other", "orders");
  EXPECT_EQ(general.archive, ArchiveMode::kAlways);
  EXPECT_EQ(general.versions, VersionMode::kAny);
  EXPECT_EQ(general.archive_retention, ttl(hours(24 * 30)));
  EXPECT_EQ(flows.effective("other", "unknown").index, false);
}
