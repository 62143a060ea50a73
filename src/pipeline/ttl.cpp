#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include <setget/ttl.hpp>
#include <setget/validator.hpp>

#include "pipeline/flows_check.hpp"

namespace setget::inline v0 {

namespace {

using detail::BoundNames;

// 9999-12-31T23:59:59.999Z: the last moment that RFC 3339 can write, with room to add graces and retentions without overflow.
constexpr TimePoint kEndOfTime{Milliseconds(253'402'300'799'999)};

constexpr Milliseconds kDefaultArchiveRetention = std::chrono::hours(24 * 30);
constexpr Milliseconds kDefaultHistoryAge = std::chrono::hours(24 * 30);

bool longer(const Ttl& a, const Ttl& b) noexcept { return a.is_never ? !b.is_never : !b.is_never && a.length > b.length; }

// A bound and the TOML path that set it.
struct Bound {
  std::optional<Ttl> ttl;
  std::string path;
};

Error invalid(std::string path, std::string what) { return Error(ErrorCode::kInvalidArgument, std::move(what)).at_field(std::move(path)); }

// Everything that the policy says of one account and flow. Pointers are null where nothing is said.
struct Scope {
  const Flows* flows = nullptr;
  std::string_view account_name;
  std::string_view flow_name;
  const AccountOptions* account = nullptr;
  const FlowOptions* account_flow = nullptr;
  const FlowOptions* flow = nullptr;
  BoundNames names{};

  std::string account_path(std::string_view field) const { return fmt::format("accounts.{}.{}", account_name, field); }
  std::string account_flow_path(std::string_view field) const {
    return fmt::format("accounts.{}.flows.{}.{}", account_name, flow_name, field);
  }
  std::string flow_path(std::string_view field) const { return fmt::format("flows.{}.{}", flow_name, field); }
};

template <class Map>
const typename Map::mapped_type* find(const Map& map, std::string_view name) {
  const auto it = map.find(name);
  return it == map.end() ? nullptr : &it->second;
}

Scope scope_of(const Flows& flows, std::string_view account, std::string_view flow) {
  Scope scope{.flows = &flows, .account_name = account, .flow_name = flow};
  scope.account = find(flows.accounts, account);
  if (scope.account != nullptr) scope.account_flow = find(scope.account->flows, flow);
  scope.flow = find(flows.flows, flow);
  return scope;
}

// The tightest of the bounds of all records, of the account and of the flow. An account's own flow replaces the bound of [flows.F].
Bound tightest(const Scope& scope, std::optional<Ttl> Flows::*all, std::optional<Ttl> AccountOptions::*of_account,
               std::optional<Ttl> FlowOptions::*of_flow, std::string_view field, std::string_view field_of_all, bool upper) {
  Bound found;
  const auto offer = [&](const std::optional<Ttl>& ttl, auto path) {
    if (!ttl || (found.ttl && !(upper ? longer(*found.ttl, *ttl) : longer(*ttl, *found.ttl)))) return;
    found = {ttl, path()};
  };
  if (scope.account_flow != nullptr && scope.account_flow->*of_flow) {
    offer(scope.account_flow->*of_flow, [&] { return scope.account_flow_path(field); });
  } else if (scope.flow != nullptr) {
    offer(scope.flow->*of_flow, [&] { return scope.flow_path(field); });
  }
  if (scope.account != nullptr) offer(scope.account->*of_account, [&] { return scope.account_path(field); });
  offer(scope.flows->*all, [&] { return fmt::format("ttl.{}", field_of_all); });
  return found;
}

Bound lower_bound(const Scope& scope) {
  return tightest(scope, &Flows::min_ttl, &AccountOptions::min_ttl, &FlowOptions::min_ttl, "min_ttl", scope.names.min, false);
}
Bound upper_bound(const Scope& scope) {
  return tightest(scope, &Flows::max_ttl, &AccountOptions::max_ttl, &FlowOptions::max_ttl, "max_ttl", scope.names.max, true);
}

// Walks the rules from the strongest to the weakest; `note` hears of each one that was looked at.
template <class Note>
TtlDecision decide(const Scope& scope, const std::optional<Ttl>& message, Note note) {
  TtlDecision decision;
  bool decided = false;
  const auto offer = [&](TtlRule rule, const std::optional<Ttl>& ttl, auto path) {
    note(path, ttl, !decided && ttl.has_value());
    if (decided || !ttl) return;
    decided = true;
    decision.ttl = *ttl;
    decision.rule = rule;
  };
  const std::optional<Ttl> none;
  offer(TtlRule::kMessage, message, [] { return std::string("message"); });
  offer(TtlRule::kAccountFlow, scope.account_flow != nullptr ? scope.account_flow->ttl : none,
        [&] { return scope.account_flow_path("ttl"); });
  offer(TtlRule::kAccount, scope.account != nullptr ? scope.account->ttl : none, [&] { return scope.account_path("ttl"); });
  offer(TtlRule::kFlow, scope.flow != nullptr ? scope.flow->ttl : none, [&] { return scope.flow_path("ttl"); });
  offer(TtlRule::kDefault, scope.flows->default_ttl.value_or(Ttl::never()), [] { return std::string("ttl.default"); });

  const auto clamp = [&](Bound bound) {
    decision.clamped_from = decision.ttl;
    decision.ttl = *bound.ttl;
    decision.clamped_by = std::move(bound.path);
  };
  auto low = lower_bound(scope);
  auto high = upper_bound(scope);
  if (low.ttl && longer(*low.ttl, decision.ttl)) {
    clamp(std::move(low));
  } else if (high.ttl && longer(decision.ttl, *high.ttl)) {
    clamp(std::move(high));
  }
  return decision;
}

Result<void> check_options(const std::string& path, const std::optional<Ttl>& ttl, const std::optional<Ttl>& min,
                           const std::optional<Ttl>& max, std::string_view ttl_field = "ttl", const BoundNames& names = {}) {
  const auto check = [&](std::string_view field, const std::optional<Ttl>& value, bool zero_allowed) -> Result<void> {
    if (!value || value->is_never) return {};
    const auto name = fmt::format("{}.{}", path, field);
    if (value->length < Milliseconds(0)) return invalid(name, "must not be negative");
    if (value->length == Milliseconds(0) && !zero_allowed) return invalid(name, "must be above 0: every record would be expired at once");
    return {};
  };
  if (auto checked = check(ttl_field, ttl, false); !checked) return checked;
  if (auto checked = check(names.min, min, true); !checked) return checked;
  return check(names.max, max, false);
}

Result<void> check_name(const std::string& section, std::string_view name) {
  if (is_name(name)) return {};
  return invalid(fmt::format("{}.\"{}\"", section, name), "a name is 1 to 64 of [A-Za-z0-9._-]");
}

Result<void> check_flow(const std::string& section, const std::string& name, const FlowOptions& flow) {
  if (auto checked = check_name(section, name); !checked) return checked;
  const auto path = fmt::format("{}.{}", section, name);
  if (auto checked = check_options(path, flow.ttl, flow.min_ttl, flow.max_ttl); !checked) return checked;
  if (flow.archive_retention && !flow.archive_retention->is_never && flow.archive_retention->length < Milliseconds(0)) {
    return invalid(path + ".archive_retention", "must not be negative");
  }
  if (flow.history_age && !flow.history_age->is_never && flow.history_age->length <= Milliseconds(0)) {
    return invalid(path + ".history_age", "must be above 0");
  }
  if (flow.schema && flow.schema->source() == PayloadSchema::Source::kHeader) {
    return invalid(path + ".schema", "a header says the version only in a route; a record has attributes and a payload");
  }
  return {};
}

Result<void> check_bounds(const Flows& flows, const BoundNames& names, std::string_view account, std::string_view flow) {
  auto scope = scope_of(flows, account, flow);
  scope.names = names;
  const auto low = lower_bound(scope);
  const auto high = upper_bound(scope);
  if (!low.ttl || !high.ttl || !longer(*low.ttl, *high.ttl)) return {};
  return invalid(low.path, fmt::format("{} = {} is above {} = {}", low.path, to_string(*low.ttl), high.path, to_string(*high.ttl)));
}

// "ttl.default"'s own words when nothing configures it.
std::string say(const std::string& path, const std::optional<Ttl>& ttl, bool won, bool decided_before, bool configured) {
  if (!ttl) return fmt::format("{} is not set", path);
  const auto text = configured ? fmt::format("{} = {}", path, to_string(*ttl)) : fmt::format("{} is not set (never)", path);
  if (won) return text + " wins";
  return decided_before ? text + " is weaker" : text;
}

}  // namespace

Result<void> detail::check_flows(const Flows& all, const BoundNames& names) {
  if (auto checked = check_options("ttl", all.default_ttl, all.min_ttl, all.max_ttl, "default", names); !checked) return checked;
  if (auto checked = check_bounds(all, names, {}, {}); !checked) return checked;
  for (const auto& [name, flow] : all.flows) {
    if (auto checked = check_flow("flows", name, flow); !checked) return checked;
    if (auto checked = check_bounds(all, names, {}, name); !checked) return checked;
  }
  for (const auto& [name, account] : all.accounts) {
    if (auto checked = check_name("accounts", name); !checked) return checked;
    const auto path = "accounts." + name;
    if (auto checked = check_options(path, account.ttl, account.min_ttl, account.max_ttl); !checked) return checked;
    if (auto checked = check_bounds(all, names, name, {}); !checked) return checked;
    for (const auto& [flow_name, flow] : account.flows) {
      if (auto checked = check_flow(path + ".flows", flow_name, flow); !checked) return checked;
      if (auto checked = check_bounds(all, names, name, flow_name); !checked) return checked;
    }
    // A flow of every account meets the bounds of each account, too.
    for (const auto& [flow_name, flow] : all.flows) {
      if (!flow.min_ttl && !flow.max_ttl) continue;
      if (auto checked = check_bounds(all, names, name, flow_name); !checked) return checked;
    }
  }
  return {};
}

Result<void> Flows::validate() const { return detail::check_flows(*this, {}); }

FlowOptions Flows::effective(std::string_view account, std::string_view flow) const {
  const auto scope = scope_of(*this, account, flow);
  FlowOptions out;
  out.versions = VersionMode::kAny;
  out.index = false;
  out.archive = ArchiveMode::kSkip;
  out.archive_retention = Ttl::after(kDefaultArchiveRetention);
  out.history = false;
  out.history_age = Ttl::after(kDefaultHistoryAge);
  const auto take = [&out](const FlowOptions* said) {
    if (said == nullptr) return;
    if (said->versions) out.versions = said->versions;
    if (said->index) out.index = said->index;
    if (said->archive) out.archive = said->archive;
    if (said->archive_retention) out.archive_retention = said->archive_retention;
    if (said->history) out.history = said->history;
    if (said->history_age) out.history_age = said->history_age;
    if (said->schema) out.schema = said->schema;
  };
  take(scope.flow);
  take(scope.account_flow);
  return out;
}

const PayloadSchema* Flows::schema_of(std::string_view account, std::string_view flow) const noexcept {
  const auto scope = scope_of(*this, account, flow);
  for (const auto* said : {scope.account_flow, scope.flow}) {
    if (said != nullptr && said->schema) return &*said->schema;
  }
  return nullptr;
}

bool Flows::keeps_history() const {
  const auto keeps = [this](std::string_view account, const std::string& flow) { return effective(account, flow).history.value_or(false); };
  for (const auto& [name, flow] : flows) {
    if (keeps({}, name)) return true;
  }
  for (const auto& [account, options] : accounts) {
    for (const auto& [name, flow] : options.flows) {
      if (keeps(account, name)) return true;
    }
  }
  return false;
}

// Readers share the flows and never wait for a reload longer than a pointer's copy.
struct TtlPolicy::State {
  mutable std::mutex mutex;
  std::shared_ptr<const Flows> flows;
};

TtlPolicy::TtlPolicy(Flows flows) : state_(std::make_unique<State>()) { state_->flows = std::make_shared<const Flows>(std::move(flows)); }

TtlPolicy::~TtlPolicy() = default;

std::shared_ptr<const Flows> TtlPolicy::flows() const {
  const std::lock_guard lock(state_->mutex);
  return state_->flows;
}

TtlDecision TtlPolicy::resolve(std::string_view account, std::string_view flow, const std::optional<Ttl>& message) const {
  const auto current = flows();
  return decide(scope_of(*current, account, flow), message, [](const auto&, const auto&, bool) {});
}

TtlDecision TtlPolicy::explain(std::string_view account, std::string_view flow, const std::optional<Ttl>& message) const {
  const auto current = flows();
  const auto scope = scope_of(*current, account, flow);
  std::string rules;
  bool decided = false;
  auto decision = decide(scope, message, [&](const auto& path, const std::optional<Ttl>& ttl, bool won) {
    const auto name = path();
    if (!rules.empty()) rules += "; ";
    rules += say(name, ttl, won, decided, name != "ttl.default" || current->default_ttl.has_value());
    decided = decided || won;
  });
  std::string clamped;
  if (decision.clamped_from) {
    clamped = fmt::format(", {} from {} by {}", longer(decision.ttl, *decision.clamped_from) ? "raised" : "cut",
                          to_string(*decision.clamped_from), decision.clamped_by);
  }
  decision.explanation = fmt::format(R"(A record of account "{}" and flow "{}" lives {}{}: {}.)", account, flow,
                                     decision.ttl.is_never ? "for ever" : to_string(decision.ttl), clamped, rules);
  return decision;
}

std::optional<TimePoint> TtlPolicy::expires_at(TimePoint accepted, const Ttl& ttl) noexcept {
  if (ttl.is_never) return std::nullopt;
  const auto length = std::max(ttl.length, Milliseconds(0));
  if (accepted >= kEndOfTime || length > kEndOfTime - std::max(accepted, TimePoint{})) return kEndOfTime;
  return accepted + length;
}

Result<void> TtlPolicy::reload(Flows flows) {
  if (auto checked = flows.validate(); !checked) return checked;
  auto fresh = std::make_shared<const Flows>(std::move(flows));
  const std::lock_guard lock(state_->mutex);
  state_->flows.swap(fresh);
  return {};
}

}  // namespace setget::inline v0
