#include "redis/memory_report.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "redis/client.hpp"
#include "redis/doctor.hpp"
#include "redis/place.hpp"
#include "redis/store_entry.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::int64_t kStep = 500;  // names a SCAN step: a few hundred µs of the server

constexpr std::array<std::string_view, kParts> kNames = {"records",     "pointers",     "change log", "expiry",      "reclaim", "indexes",
                                                         "bookkeeping", "dictionaries", "queue",      "hash tables", "other"};

struct Sum {
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;
};
using Sums = std::array<Sum, kParts>;

std::uint64_t number(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

// One master. Keeps a connection of its own, so that nobody waits behind it.
class Survey {
 public:
  Survey(Exclusive& connection, std::string_view prefix, Deadline deadline)
      : connection_(connection), prefix_(prefix), deadline_(deadline) {}

  Result<void> run(std::size_t max_names) {
    auto size = ask(RedisCommand::of("DBSIZE"));
    if (!size) return std::move(size).error();
    names_ = static_cast<std::uint64_t>(size->integer());
    auto info = ask(RedisCommand::of("INFO", "memory"));
    if (!info) return std::move(info).error();
    const auto fields = parse_fields(info->text());
    if (const auto used = fields.find("used_memory"); used != fields.end()) used_memory_ = number(used->second);

    std::string cursor = "0";
    do {
      auto page = ask(RedisCommand::of("SCAN", std::string_view(cursor), "COUNT", kStep));
      if (!page) return std::move(page).error();
      auto parts = page->elements();
      if (parts.size() != 2) return Error(ErrorCode::kCorrupted, "SCAN answered what is not a page");
      cursor = parts[0].text();
      if (auto weighed = weigh(parts[1].elements()); !weighed) return weighed;
    } while (cursor != "0" && looked_at_ < max_names);
    complete_ = cursor == "0";
    return add_tables();
  }

  // With what was not looked at, as far as what was can tell.
  void add_to(MemoryReport& report, Sums& sums) const {
    const double scale = complete_ || looked_at_ == 0 ? 1 : static_cast<double>(names_) / static_cast<double>(looked_at_);
    const auto scaled = [&](std::uint64_t value) { return static_cast<std::uint64_t>(static_cast<double>(value) * scale); };
    for (std::size_t i = 0; i < kParts; ++i) {
      const bool whole = i == static_cast<std::size_t>(Part::kHashTables);
      sums[i].keys += whole ? sums_[i].keys : scaled(sums_[i].keys);
      sums[i].bytes += whole ? sums_[i].bytes : scaled(sums_[i].bytes);
    }
    report.looked_at += looked_at_;
    report.sampled = report.sampled || !complete_;
    report.used_memory += used_memory_;
  }

 private:
  Result<Reply> ask(const RedisCommand& command) {
    auto reply = connection_.call(command, deadline_);
    if (reply && reply->is_error()) return server_error(reply->text());
    return reply;
  }

  Result<void> weigh(std::span<const Reply> names) {
    std::vector<RedisCommand> commands;
    std::vector<Part> parts;
    for (const auto& name : names) {
      parts.push_back(part_of(prefix_, name.text()));
      commands.push_back(RedisCommand::of("MEMORY", "USAGE", name.text()));
      if (parts.back() == Part::kRecords)
        commands.push_back(RedisCommand::of("GETRANGE", name.text(), 0, static_cast<std::int64_t>(kPrefixBytes) - 1));
    }
    if (commands.empty()) return {};
    auto replies = connection_.pipeline(commands, deadline_);
    if (!replies) return std::move(replies).error();
    auto at = replies->begin();
    for (auto part : parts) {
      const auto& weight = *at++;
      if (part == Part::kRecords && !has_identity((at++)->text())) part = Part::kPointers;
      // Other programs' names may be none of this user's business; that they are there is known all the same.
      if (weight.is_error() && part != Part::kOther) return server_error(weight.text());
      ++looked_at_;
      auto& sum = sums_[static_cast<std::size_t>(part)];
      if (weight.is_nil()) continue;  // gone meanwhile
      ++sum.keys;
      sum.bytes += static_cast<std::uint64_t>(weight.integer());
    }
    return {};
  }

  // What MEMORY USAGE of a name leaves out: its place in the tables of the database.
  Result<void> add_tables() {
    auto stats = ask(RedisCommand::of("MEMORY", "STATS"));
    if (!stats) return std::move(stats).error();
    const auto list = stats->elements();
    for (std::size_t i = 0; i + 1 < list.size(); i += 2) {
      if (!list[i].text().starts_with("db.") || !list[i + 1].is_list()) continue;
      const auto tables = list[i + 1].elements();
      for (std::size_t j = 0; j + 1 < tables.size(); j += 2) {
        if (tables[j].text().starts_with("overhead.hashtable.")) {
          sums_[static_cast<std::size_t>(Part::kHashTables)].bytes += static_cast<std::uint64_t>(tables[j + 1].integer());
        }
      }
    }
    return {};
  }

  Exclusive& connection_;
  const std::string_view prefix_;
  const Deadline deadline_;
  Sums sums_{};
  std::uint64_t names_ = 0;
  std::uint64_t looked_at_ = 0;
  std::uint64_t used_memory_ = 0;
  bool complete_ = false;
};

}  // namespace

Part part_of(std::string_view prefix, std::string_view name) {
  if (!name.starts_with(prefix) || !name.substr(prefix.size()).starts_with(':')) return Part::kOther;
  name.remove_prefix(prefix.size() + 1);
  if (!name.starts_with('{')) return Part::kBookkeeping;  // the root
  const auto close = name.find("}:");
  if (close == std::string_view::npos) return Part::kOther;
  if (name[1] == 'q') return Part::kQueue;
  name.remove_prefix(close + 2);
  if (name.starts_with("e:")) return Part::kRecords;
  if (name == "l" || name == "b") return Part::kLog;
  if (name == "x" || name.starts_with("x:")) return Part::kExpiry;
  if (name == "g") return Part::kReclaim;
  if (name == "d" || name == "dg" || name == "u" || name.starts_with("d:")) return Part::kDictionaries;
  if (name.starts_with("L:") || name.starts_with("N:")) return Part::kIndexes;
  return Part::kBookkeeping;
}

Result<MemoryReport> measure_memory(Place& place, std::size_t max_names, Deadline deadline) {
  auto servers = place.client().servers(deadline);
  if (!servers) return std::move(servers).error();
  MemoryReport report;
  Sums sums{};
  for (const auto& server : *servers) {
    auto connection = server->exclusive(deadline);
    if (!connection) return std::move(connection).error();
    Survey survey(*connection, place.prefix(), deadline);
    if (auto done = survey.run(max_names); !done) return std::move(done).error();
    survey.add_to(report, sums);
  }
  report.records = sums[static_cast<std::size_t>(Part::kRecords)].keys;
  for (std::size_t i = 0; i < kParts; ++i) {
    if (sums[i].keys == 0 && sums[i].bytes == 0) continue;
    report.parts.push_back({std::string(kNames[i]), sums[i].keys, sums[i].bytes});
  }
  return report;
}

}  // namespace setget::inline v0::redis
