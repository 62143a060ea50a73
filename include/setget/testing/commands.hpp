// Short ways to write commands in tests: what a worker would hand to a key store, and what a producer would put into a queue.
// Thread rule: values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/record.hpp>

namespace setget::inline v0::testing {

struct SetSpec {
  std::string id{};
  std::vector<std::string> keys{};
  Stamp stamp = 0;
  std::string payload = "payload";
  std::optional<Version> version{};  // empty: the stamp
  std::optional<Version> expected_version{};
  std::optional<TimePoint> expires_at{};
  std::string ns{};
  std::string account{};
  std::string flow{};
  std::string owner{};
  bool listed = false;
};
SETGET_API ApplyEntry set_entry(const SetSpec& spec);

struct IdSpec {
  std::string id{};
  Stamp stamp = 0;
  std::optional<Version> version{};       // erases; empty: the stamp
  std::optional<TimePoint> expires_at{};  // touches; empty: never
  std::string ns{};
};
SETGET_API ApplyEntry erase_entry(const IdSpec& spec);
SETGET_API ApplyEntry touch_entry(const IdSpec& spec);
SETGET_API ApplyEntry erase_key_entry(std::string_view key, Stamp stamp, std::string_view ns = {});

// All that a reader can see of the given keys and ids, as text: two stores that hold the same records, leading keys and gone identities
// give equal texts. Revisions and the reasons of tombstones are left out, because they may differ with the order of applying.
SETGET_API std::string describe_state(KeyStoreBackend& store, std::string_view ns, const std::vector<std::string>& keys,
                                      const std::vector<std::string>& ids, TimePoint now);

}  // namespace setget::inline v0::testing
