#include "mongo/doctor.hpp"

#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "mongo/errors.hpp"
#include "mongo/state_documents.hpp"

namespace setget::inline v0::mongo {
namespace {

using Level = Finding::Level;

class Examination {
 public:
  Examination(Place& place, mongoc_client_t* client, Deadline deadline) : place_(place), client_(client), deadline_(deadline) {}

  Result<std::vector<Finding>> all() {
    Document hello;
    hello.add("isMaster", std::int32_t{1});
    Reply reply;
    if (auto asked = place_.command(client_, "admin", hello, reply, deadline_); !asked) return std::move(asked).error();
    look_at_server(reply.raw());
    look_at_concern();
    look_at_indexes();
    look_at_overdue();
    look_at_quarantine();
    return std::move(findings_);
  }

 private:
  void say(Level level, std::string what, std::string fix = {}) {
    findings_.push_back({.level = level, .what = std::move(what), .fix = std::move(fix)});
  }
  void could_not(std::string_view what, const Error& error) {
    say(Level::kWarning, fmt::format("MongoDB: {} could not be looked at: {}", what, error.message()),
        "give the user the role readWrite, or look by hand");
  }

  void look_at_server(const bson_t* hello) {
    Document ask;
    ask.add("buildInfo", std::int32_t{1});
    Reply info;
    const auto asked = place_.command(client_, "admin", ask, info, deadline_);
    const auto version = asked ? text_or_empty(info.raw(), "version") : std::string("of unknown version");
    const auto set = text_or_empty(hello, "setName");
    const bool mongos = text_or_empty(hello, "msg") == "isdbgrid";
    say(Level::kOk, fmt::format("MongoDB: {} answers, version {}, {}", place_.clients().address().shown, version,
                                mongos        ? "mongos"
                                : set.empty() ? "a single server"
                                              : "replica set " + set));
    replicated_ = mongos || !set.empty();
    sharded_ = mongos;  // the shards are servers of MongoDB's own
    const bool sessions = find(hello, "logicalSessionTimeoutMinutes").has_value();
    say(Level::kOk, sessions && replicated_ ? "MongoDB: writes are retried by the driver (sessions)"
                                            : "MongoDB: no retryable writes here; the archive repeats its writes itself, which is as safe");
    const auto there = find(hello, "localTime");
    const auto time = there ? there->time() : std::nullopt;
    if (!time) return;
    const auto skew = std::chrono::abs(std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()) - *time);
    if (skew > std::chrono::minutes(1)) {
      say(Level::kWarning, fmt::format("MongoDB: the server's clock is {} s away from this machine's", skew.count() / 1000),
          "synchronise the clocks: the server drops documents by its own");
    }
  }

  void look_at_concern() {
    const auto& address = place_.clients().address();
    if (!address.journal) {
      say(Level::kWarning, "MongoDB: the URI says journal=false: a crash of the server loses what it had confirmed",
          "take journal=false out of the URI");
    } else if (replicated_ && !address.acknowledged_by_majority) {
      say(Level::kWarning, "MongoDB: the URI's write concern is not majority: a failover can lose what was confirmed",
          "take w= out of the URI");
    } else {
      say(Level::kOk, "MongoDB: writes are confirmed by a majority, with journal");
    }
  }

  void look_at_indexes() {
    auto listed = list_indexes(place_, client_, place_.documents(), deadline_);
    if (!listed) {
      if (listed.error().native_code() == 26)
        return say(Level::kWarning, "MongoDB: there is no archive yet", "run `setget archive run` once");
      return could_not("indexes", listed.error());
    }
    bool ttl_index = false;
    for (const auto* wanted : {kKeysIndex, kPurgeIndex, kGoneIndex}) {
      const auto found = std::ranges::find(*listed, std::string(wanted), &IndexInfo::name);
      if (found == listed->end()) {
        say(Level::kError, fmt::format("MongoDB: the index {} of {} is missing", wanted, place_.documents()),
            "open the archive again: it makes it");
      } else if (std::string_view(wanted) == kPurgeIndex) {
        ttl_index = found->expires_after == 0;
      }
    }
    look_at_purge(ttl_index);
  }

  // That the index is there says little: servers list it that never drop anything by it. Runs drop what is due in any case.
  void look_at_purge(bool ttl_index) {
    if (!ttl_index) return say(Level::kOk, "MongoDB: archive runs drop documents after their retention (no TTL index)");
    const auto monitor = sharded_ ? std::optional(true) : ttl_monitor();
    purges_itself_ = monitor.value_or(false);
    if (purges_itself_) return say(Level::kOk, "MongoDB: the server drops documents after their retention (TTL index)");
    say(Level::kOk,
        monitor ? "MongoDB: archive runs drop documents after their retention (TTL index, but the server's ttlMonitorEnabled is off)"
                : "MongoDB: archive runs drop documents after their retention (TTL index, but the server does not say that it drops by it; "
                  "MongoDB itself tells users with the role clusterMonitor)");
  }

  // Whether it is on; empty: this server has none, or does not tell this user.
  std::optional<bool> ttl_monitor() {
    Document ask;
    ask.add("getParameter", std::int32_t{1}).add("ttlMonitorEnabled", std::int32_t{1});
    Reply reply;
    if (!place_.command(client_, "admin", ask, reply, deadline_)) return std::nullopt;
    const auto enabled = find(reply.raw(), "ttlMonitorEnabled");
    return enabled ? enabled->truth() : std::nullopt;
  }

  void look_at_overdue() {
    // The TTL monitor runs every minute, archive runs every night.
    const auto before = std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now()) - std::chrono::hours(48);
    Document due;
    due.add_date("$lt", before);
    Document query;
    query.add("record.purge_at", due);
    Document command;
    command.add_utf8("count", place_.documents()).add("query", query).add("limit", std::int64_t{1000});
    Reply reply;
    if (auto counted = place_.command(client_, place_.database().c_str(), command, reply, deadline_); !counted)
      return could_not("what is overdue", counted.error());
    const auto overdue = integer_or(reply.raw(), "n", 0);
    if (overdue == 0) return;
    say(Level::kWarning,
        fmt::format("MongoDB: {}{} documents should have been dropped two days ago", overdue >= 1000 ? "more than " : "", overdue),
        purges_itself_ ? "do archive runs succeed? they drop what the server's TTL monitor leaves"
                       : "do archive runs succeed? they drop them");
  }

  void look_at_quarantine() {
    auto count = count_quarantine(place_, client_, deadline_);
    if (!count) return could_not("the quarantine", count.error());
    if (*count == 0) return say(Level::kOk, "MongoDB: nothing is in quarantine");
    say(Level::kWarning, fmt::format("MongoDB: {} changes are in quarantine: the server refuses them", *count),
        "`setget archive quarantine` lists them with the reasons; every run tries them again");
  }

  Place& place_;
  mongoc_client_t* client_;
  Deadline deadline_;
  std::vector<Finding> findings_;
  bool replicated_ = false;
  bool sharded_ = false;
  bool purges_itself_ = false;
};

}  // namespace

Result<std::vector<Finding>> examine(Place& place, Deadline deadline) {
  return place.clients().call(deadline, [&](mongoc_client_t* client) { return Examination(place, client, deadline).all(); });
}

}  // namespace setget::inline v0::mongo
