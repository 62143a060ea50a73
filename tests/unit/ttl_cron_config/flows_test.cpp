#include <gtest/gtest.h>

#include <setget/ttl.hpp>

using namespace setget;
using std::chrono::hours;
using std::chrono::seconds;

namespace {

Ttl ttl(Milliseconds length) { return Ttl::after(length); }

struct Refused {
  std::string field;
  std::string message;
};
Refused refused(std::string_view toml) {
  const auto flows = parse_flows(toml, "x.toml");
  if (flows) return {"accepted", "accepted"};
  EXPECT_EQ(flows.error().code(), ErrorCode::kInvalidArgument);
  return {flows.error().field(), flows.error().message()};
}

}  // namespace

TEST(FlowsToml, reads_every_setting) {
  const auto flows = parse_flows(R"(
isolation = "account"
[ttl]
default = "7d"
min_ttl = 5
max = "never"
[accounts.acme]
ttl = "30d"
min_ttl = "1s"
max_ttl = "365d"
[accounts.acme.flows.orders]
ttl = 90
versions = "caller"
index = true
archive = "always"
archive_retention = "60d"
[flows.sessions]
ttl = "never"
versions = "assigned"
archive = "skip"
[server]
listen = "not the business of flows"
)");
  ASSERT_TRUE(flows.has_value()) << flows.error().describe();
  Flows expected;
  expected.isolate_accounts = true;
  expected.default_ttl = ttl(hours(7 * 24));
  expected.min_ttl = ttl(seconds(5));
  expected.max_ttl = Ttl::never();
  auto& acme = expected.accounts["acme"];
  acme.ttl = ttl(hours(30 * 24));
  acme.min_ttl = ttl(seconds(1));
  acme.max_ttl = ttl(hours(365 * 24));
  auto& orders = acme.flows["orders"];
  orders.ttl = ttl(seconds(90));
  orders.versions = VersionMode::kCaller;
  orders.index = true;
  orders.archive = ArchiveMode::kAlways;
  orders.archive_retention = ttl(hours(60 * 24));
  auto& sessions = expected.flows["sessions"];
  sessions.ttl = Ttl::never();
  sessions.versions = VersionMode::kAssigned;
  sessions.archive = ArchiveMode::kSkip;
  EXPECT_EQ(*flows, expected);
}

TEST(FlowsToml, history_is_of_a_flow_and_an_account_may_say_otherwise) {
  const auto flows = parse_flows(R"(
[flows.orders]
history = true
history_age = "90d"
[accounts.acme.flows.orders]
history = false
)");
  ASSERT_TRUE(flows) << flows.error().describe();
  EXPECT_TRUE(flows->keeps_history());
  EXPECT_EQ(flows->effective("other", "orders").history, true);
  EXPECT_EQ(flows->effective("other", "orders").history_age, ttl(hours(90 * 24)));
  EXPECT_EQ(flows->effective("acme", "orders").history, false);
  EXPECT_EQ(flows->effective("other", "else").history, false);
  EXPECT_EQ(flows->effective("other", "else").history_age, ttl(hours(30 * 24)));
  EXPECT_FALSE(parse_flows("[flows.orders]\nhistory_age = 1")->keeps_history());
  EXPECT_EQ(refused("[flows.o]\nhistory_age = 0").field, "flows.o.history_age");
  EXPECT_EQ(refused("[flows.o]\nhistory = 1").message, "x.toml:2: flows.o.history: expected true or false");
}

TEST(FlowsToml, an_empty_document_says_nothing) { EXPECT_EQ(*parse_flows(""), Flows{}); }

TEST(FlowsToml, an_unknown_key_is_an_error_that_names_path_and_line) {
  const auto typo = refused("[ttl]\ndefault = 1\n[accounts.acme.flows.orders]\ntll = 90\n");
  EXPECT_EQ(typo.field, "accounts.acme.flows.orders.tll");
  EXPECT_EQ(typo.message, "x.toml:4: accounts.acme.flows.orders.tll: unknown key");
  EXPECT_EQ(refused("[ttl]\ndefualt = 1").field, "ttl.defualt");
  EXPECT_EQ(refused("[accounts.acme]\nflow = 1").field, "accounts.acme.flow");
  EXPECT_EQ(refused("[flows.a.b]\nttl = 1").message, "x.toml:1: flows.a.b: unknown section");
}

TEST(FlowsToml, a_bad_value_is_an_error_that_names_path_and_line) {
  EXPECT_EQ(refused("[ttl]\ndefault = \"7 days\"").field, "ttl.default");
  EXPECT_EQ(refused("[ttl]\ndefault = 1.5").field, "ttl.default");
  EXPECT_EQ(refused("[ttl]\ndefault = -1").message, "x.toml:2: ttl.default: -1 seconds is out of range");
  EXPECT_EQ(refused("[ttl]\ndefault = 9223372036854775807").field, "ttl.default");
  EXPECT_EQ(refused("[ttl]\ndefault = true").field, "ttl.default");
  EXPECT_EQ(refused("[flows.o]\nindex = 1").message, "x.toml:2: flows.o.index: expected true or false");
  EXPECT_EQ(refused("[flows.o]\nversions = \"mine\"").message,
            "x.toml:2: flows.o.versions: \"mine\" is not one of \"any\", \"assigned\", \"caller\"");
  EXPECT_EQ(refused("[flows.o]\narchive = true").message, "x.toml:2: flows.o.archive: expected a string");
  EXPECT_EQ(refused("isolation = \"tenant\"").field, "isolation");
  EXPECT_EQ(refused("ttl = 5").message, "x.toml:1: ttl: expected a table");
  EXPECT_EQ(refused("[flows]\norders = 5").field, "flows.orders");
  EXPECT_EQ(refused("[ttl]\nmin = 1\nmin_ttl = 1").field, "ttl.min_ttl");
}

TEST(FlowsToml, what_the_model_refuses_is_reported_with_its_line) {
  EXPECT_EQ(refused("[ttl]\nmax = 10\n\n[accounts.acme]\nmin_ttl = 20").message,
            "x.toml:5: accounts.acme.min_ttl: accounts.acme.min_ttl = 20s is above ttl.max = 10s");
  EXPECT_EQ(refused("[ttl]\nmax_ttl = 10\n\n[accounts.acme]\nmin_ttl = 20").message,
            "x.toml:5: accounts.acme.min_ttl: accounts.acme.min_ttl = 20s is above ttl.max_ttl = 10s");
  // As the file has them, and where.
  EXPECT_EQ(refused("[ttl]\nmax = 10\nmin = 20").message, "x.toml:3: ttl.min: ttl.min = 20s is above ttl.max = 10s");
  EXPECT_EQ(refused("[ttl]\nmax_ttl = 10\nmin = 20").message, "x.toml:3: ttl.min: ttl.min = 20s is above ttl.max_ttl = 10s");
  EXPECT_EQ(refused("[ttl]\ndefault = 1\nmax = 0").message, "x.toml:3: ttl.max: must be above 0: every record would be expired at once");
  EXPECT_EQ(refused("[ttl]\ndefault = 1\nmax_ttl = 0").field, "ttl.max_ttl");
  EXPECT_EQ(refused("[ttl]\nmin = \"1 day\"").field, "ttl.min");
  EXPECT_EQ(refused("[ttl]\nmin = 20\n[flows.o]\nmax_ttl = 10").message, "x.toml:2: ttl.min: ttl.min = 20s is above flows.o.max_ttl = 10s");
  EXPECT_EQ(refused("[flows.orders]\nschema = \"nowhere.json\"").message, "x.toml:2: flows.orders.schema: nowhere.json: cannot be opened");
}

TEST(FlowsToml, broken_toml_is_an_error_with_its_line) {
  EXPECT_NE(refused("[ttl]\ndefault = \n").message.find("x.toml:2"), std::string::npos);
  EXPECT_NE(refused("[ttl]\n[ttl]\n").message.find("x.toml:2"), std::string::npos);
}

TEST(FlowsToml, a_missing_file_is_not_found) {
  const auto flows = load_flows("/nonexistent/flows.toml");
  ASSERT_FALSE(flows.has_value());
  EXPECT_EQ(flows.error().code(), ErrorCode::kNotFound);
}
