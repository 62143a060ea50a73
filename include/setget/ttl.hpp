// Flows: what accounts and flows configure. TtlPolicy: the one place where a record's life is resolved.
// Thread rule: Flows is a value; TtlPolicy may be called and reloaded from any thread, never blocks on I/O.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/payload_schema.hpp>
#include <setget/record.hpp>

namespace setget::inline v0 {

enum class VersionMode : std::uint8_t { kAny, kAssigned, kCaller };
enum class ArchiveMode : std::uint8_t {
  kSkip,  // records that would expire before the next archive run are not archived, and counted
  kAlways,
};

// Of one flow. Empty = not said here: the weaker rules decide.
struct FlowOptions {
  std::optional<Ttl> ttl{};
  std::optional<Ttl> min_ttl{};
  std::optional<Ttl> max_ttl{};
  std::optional<VersionMode> versions{};
  std::optional<bool> index{};             // keep a listing index; default false
  std::optional<ArchiveMode> archive{};    // default kSkip
  std::optional<Ttl> archive_retention{};  // after expiry or erasure; default 30 days
  std::optional<bool> history{};           // keep every state for gets and restores "as of"; default false
  std::optional<Ttl> history_age{};        // how long a state is kept once another one replaced it; default 30 days
  std::optional<PayloadSchema> schema{};   // of payloads, checked at the door and again by the worker; these are JSON then
  friend bool operator==(const FlowOptions&, const FlowOptions&) = default;
};

struct AccountOptions {
  std::optional<Ttl> ttl{};
  std::optional<Ttl> min_ttl{};
  std::optional<Ttl> max_ttl{};
  std::map<std::string, FlowOptions, std::less<>> flows{};
  friend bool operator==(const AccountOptions&, const AccountOptions&) = default;
};

struct Flows {
  std::optional<Ttl> default_ttl{};  // empty: never
  std::optional<Ttl> min_ttl{};      // of every record
  std::optional<Ttl> max_ttl{};
  bool isolate_accounts = false;  // isolation = "account": the namespace of a record is its account
  std::map<std::string, AccountOptions, std::less<>> accounts{};
  std::map<std::string, FlowOptions, std::less<>> flows{};  // for every account; weaker than an account's own
  // Names, and min <= max wherever both can meet. Error: kInvalidArgument with the TOML path as field.
  SETGET_API Result<void> validate() const;
  // The options of one flow with all inheritance resolved (ttl, min and max excluded: see TtlPolicy).
  SETGET_API FlowOptions effective(std::string_view account, std::string_view flow) const;
  // Its schema alone; nullptr where it has none. Lives as long as these flows do.
  SETGET_API const PayloadSchema* schema_of(std::string_view account, std::string_view flow) const noexcept;
  // What the schema of its flow says against a set, at most `most` reasons: PayloadSchema::check, and "schema_content_type" for what is not
  // JSON. None for other commands, and where the flow has no schema. For hosts that look before they send; ingress and worker do it anyway.
  SETGET_API std::vector<Reason> violations(const Command& command, std::size_t most = 32) const;
  // Whether any flow of any account keeps history.
  SETGET_API bool keeps_history() const;
  friend bool operator==(const Flows&, const Flows&) = default;
};

// Reads the sections ttl, accounts, flows and the key isolation of a TOML document; other sections are not its business. Unknown keys
// inside its sections are errors. Reads and compiles the schemas that flows name; files are relative to the folder of source_name.
// Errors: kInvalidArgument with field = TOML path; the message begins with file and line.
SETGET_API Result<Flows> parse_flows(std::string_view toml, std::string_view source_name = "setget.toml");
// The same from a file. kNotFound if there is none.
SETGET_API Result<Flows> load_flows(const std::string& path);

struct TtlDecision {
  Ttl ttl{};
  TtlRule rule = TtlRule::kDefault;
  std::optional<Ttl> clamped_from{};  // what the rule said, where a min or max changed it
  std::string clamped_by{};           // "accounts.acme.max_ttl"
  std::string explanation{};          // one sentence, only from explain()
};

class SETGET_API TtlPolicy {
 public:
  explicit TtlPolicy(Flows flows = {});
  ~TtlPolicy();
  TtlPolicy(const TtlPolicy&) = delete;
  TtlPolicy& operator=(const TtlPolicy&) = delete;

  // message > account's flow > account > flow of every account > default, then clamped by the min and max of flow and account.
  TtlDecision resolve(std::string_view account, std::string_view flow, const std::optional<Ttl>& message) const;
  // The same with `explanation` filled: every rule that was looked at and why the winner won.
  TtlDecision explain(std::string_view account, std::string_view flow, const std::optional<Ttl>& message) const;
  // accepted + ttl; empty = never. Saturates instead of overflowing.
  static std::optional<TimePoint> expires_at(TimePoint accepted, const Ttl& ttl) noexcept;

  // Swaps the policy in for all later decisions. Refuses invalid flows and keeps the old ones.
  Result<void> reload(Flows flows);
  std::shared_ptr<const Flows> flows() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
