// archive run, verify, restore, status.
#include <unistd.h>
#include <array>
#include <cstdio>
#include <optional>
#include <utility>

#include <setget/validator.hpp>
#ifdef SETGET_WITH_MONGO
#include <setget/mongo_config.hpp>
#endif

#include "arguments.hpp"
#include "cli.hpp"
#include "interrupts.hpp"
#include "output.hpp"
#include "restore_state.hpp"

namespace cli {

namespace {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

// Some archives count every document for their statistics.
setget::Deadline count_deadline() { return setget::Deadline::in(std::chrono::minutes(10)); }

void print_counts(const Common& common, const Json& body) {
  if (common.json) return print(body);
  for (const auto& [name, value] : body.items()) {
    if (value.is_array()) continue;
    const auto text = value.is_null() ? std::string("none") : value.is_string() ? shown(value.get<std::string>()) : value.dump();
    std::printf("%-22s %s\n", name.c_str(), text.c_str());
  }
}

enum class NoArchive { kMake, kRefuse };

// Opens the session and hands its archiver to `work`.
template <NoArchive no_archive = NoArchive::kRefuse, class Work>
int with_archiver(Context& context, Missing missing, Work work) {
  if (no_archive == NoArchive::kRefuse) {
    if (auto there = archive_is_there(context.common); !there) return failed(context.common, there.error());
  }
  auto session = Session::open(context.common, missing);
  if (!session) return failed(context.common, session.error());
  if (session->pipeline().archiver() == nullptr) {
    return failed(context.common, Error(ErrorCode::kFailedPrecondition, "there is no archive: name one with --archive or [archive] uri"));
  }
  return work(*session, *session->pipeline().archiver());
}

struct RunFlags {
  bool adopt = false;
  bool progress = false;
  double rate = 0;
  unsigned busy_percent = 100;
};

// A line on stderr, once a second.
class ProgressLine {
 public:
  void operator()(const setget::ArchiveProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(1)) return;
    last_ = now;
    std::string line = std::to_string(progress.read);
    if (progress.total > progress.read) line += " of " + std::to_string(progress.total);
    line += " records, " + std::to_string(progress.bytes >> 20) + " MiB, " +
            std::to_string(static_cast<std::uint64_t>(progress.records_per_second)) + " records/s";
    if (progress.left) line += ", " + age(*progress.left) + " left";
    std::fprintf(stderr, "archive run: %s\n", line.c_str());
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

int run(Context& context, const RunFlags& flags, bool rate_given, bool percent_given) {
  Interrupts interrupts;
  return with_archiver<NoArchive::kMake>(context, Missing::kRefuse, [&](Session&, setget::Archiver& archiver) {
    const auto watching = interrupts.watch([&archiver] { archiver.cancel(); });
    setget::ArchiveRunOptions options;
    options.adopt = flags.adopt;
    if (rate_given) options.max_records_per_second = flags.rate;
    if (percent_given) options.max_share = flags.busy_percent / 100.0;
    if (flags.progress || ::isatty(STDERR_FILENO) != 0) options.on_progress = ProgressLine();
    const auto report = archiver.run(options, setget::Deadline::in(std::chrono::hours(12)));
    if (!report) return failed(context.common, report.error());
    const auto archive_only = report->archive_only ? Json(*report->archive_only) : context.common.json ? Json() : Json("unknown");
    print_counts(context.common, {{"read", report->read},
                                  {"written", report->written},
                                  {"tombstones", report->tombstones},
                                  {"already_there", report->older},
                                  {"skipped_short_lived", report->skipped_short_lived},
                                  {"purged", report->purged},
                                  {"quarantined", report->quarantined},
                                  {"first_run", report->first_run},
                                  {"reconciled", report->reconciled},
                                  {"archive_only", archive_only},
                                  {"damaged", report->damaged},
                                  {"position", report->position},
                                  {"bytes", report->bytes},
                                  {"took_ms", report->took.count()},
                                  {"worked_ms", report->worked.count()}});
    return kOk;
  });
}

int verify(Context& context, const setget::VerifyOptions& options) {
  return with_archiver(context, Missing::kRefuse, [&](Session&, setget::Archiver& archiver) {
    const auto report = archiver.verify(options);
    if (!report) return failed(context.common, report.error());
    Json differences = Json::array();
    for (const auto& difference : report->differences) {
      Json line = {{"kind", std::string(to_string(difference.kind))}, {"namespace", difference.ns}};
      put_bytes(line, "id", difference.id);
      line["detail"] = difference.detail;
      if (!difference.unrepaired.empty()) line["unrepaired"] = difference.unrepaired;
      differences.push_back(line);
    }
    print_counts(context.common, {{"equal", report->equal()},
                                  {"compared", report->compared},
                                  {"ranges", report->ranges},
                                  {"ranges_differing", report->ranges_differing},
                                  {"skipped", report->skipped},
                                  {"differences", report->difference_count},
                                  {"repaired", report->repaired},
                                  {"list", differences}});
    if (!context.common.json) {
      for (const auto& difference : report->differences) {
        std::printf("  %s  %s%s  %s%s%s\n", std::string(to_string(difference.kind)).c_str(),
                    difference.ns.empty() ? "" : (difference.ns + "/").c_str(), shown(difference.id).c_str(),
                    shown(difference.detail).c_str(),
                    difference.unrepaired.empty() ? "" : "; not repaired: ", shown(difference.unrepaired).c_str());
      }
    }
    return report->equal() ? kOk : kNo;
  });
}

// A restore from an archive that nothing was ever written into is one from the wrong place.
Result<void> refuse_nothing(Session& session, setget::Archiver& archiver) {
  const auto checkpoint = archiver.checkpoint();
  if (!checkpoint) return checkpoint.error();
  if (*checkpoint) return {};
  const auto stats = session.stores().archive->stats_within(count_deadline());
  if (!stats) return stats.error();
  if (stats->records + stats->tombstones > 0) return {};
  return Error(ErrorCode::kFailedPrecondition, "the archive is empty, and no run ever wrote into it").at_field("archive");
}

// A name that no record can have is a typing error, and no condition that nothing meets.
Result<void> check_conditions(const setget::RestoreOptions& options) {
  const auto bad = [](const char* field, const std::string& rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, rule).at_field(field);
  };
  const std::string name = "a name is 1 to 64 of [A-Za-z0-9._-]";
  if (options.account && !setget::is_name(*options.account)) return bad("--account", name);
  if (options.flow && !setget::is_name(*options.flow)) return bad("--flow", name);
  if (options.ns && !options.ns->empty() && !setget::is_name(*options.ns)) return bad("--namespace", name);
  if (options.key && (options.key->empty() || options.key->size() > 512)) return bad("--key", "a key has 1 to 512 bytes");
  return {};
}

int restore(Context& context, setget::RestoreOptions options, const std::string& state_file) {
  if (auto valid = check_conditions(options); !valid) return failed(context.common, valid.error());
  std::optional<RestoreState> state;
  if (!state_file.empty()) {
    state.emplace(state_file, options);
    auto left = state->load();
    if (!left) return failed(context.common, left.error());
    options.resume = *std::move(left);
    options.on_progress = [&](const setget::RestoreProgress& progress) { state->save(progress); };
  }
  // Into an empty store is what a restore is for: a missing file is made, but not to count what would come into it.
  return with_archiver(context, options.dry_run ? Missing::kPretend : Missing::kMake, [&](Session& session, setget::Archiver& archiver) {
    // What was at a moment may have come past the runs, by the histories.
    if (auto filled = options.at ? Result<void>() : refuse_nothing(session, archiver); !filled)
      return failed(context.common, filled.error());
    const auto report = archiver.restore(options);
    if (!report) return failed(context.common, report.error());
    if (state) state->remove();
    Json damaged = Json::array();
    for (const auto& item : report->damaged_list) {
      Json line = {{"namespace", item.ns}};
      if (!item.id.empty()) put_bytes(line, "id", item.id);
      if (!item.name.empty()) put_bytes(line, "name", item.name);
      put_bytes(line, "reason", item.reason);
      damaged.push_back(line);
    }
    print_counts(context.common, {{"considered", report->considered},
                                  {"restored", report->restored},
                                  {"overwritten", report->overwritten},
                                  {"skipped_expired", report->skipped_expired},
                                  {"skipped_present", report->skipped_present},
                                  {"damaged", report->damaged},
                                  {"into_empty_store", report->into_empty_store},
                                  {"resumed", options.resume.has_value()},
                                  {"dry_run", options.dry_run},
                                  {"list", damaged}});
    if (!context.common.json) {
      for (const auto& item : report->damaged_list) {
        std::printf("  damaged  %s%s  %s\n", item.ns.empty() ? "" : (item.ns + "/").c_str(),
                    shown(item.id.empty() ? item.name : item.id).c_str(), shown(item.reason).c_str());
      }
    }
    return report->damaged == 0 ? kOk : kNo;
  });
}

int status(Context& context) {
  return with_archiver(context, Missing::kRefuse, [&](Session& session, setget::Archiver& archiver) {
    const auto checkpoint = archiver.checkpoint();
    if (!checkpoint) return failed(context.common, checkpoint.error());
    const auto stats = session.stores().archive->stats_within(count_deadline());
    if (!stats) return failed(context.common, stats.error());
    const auto cursors = session.stores().key_store.backend()->cursors();
    if (!cursors) return failed(context.common, cursors.error());
    const bool succeeded = *checkpoint && (*checkpoint)->last_success_at > setget::TimePoint{};
    Json body = {{"archived", checkpoint->has_value()},
                 {"records", stats->records},
                 {"tombstones", stats->tombstones},
                 {"bytes", stats->bytes},
                 {"quarantined", stats->quarantined}};
    for (const auto& cursor : *cursors) {
      if (cursor.name == "archiver") body["changes_waiting"] = cursor.lag;
    }
    if (*checkpoint) {
      const auto& last = **checkpoint;
      body["runs"] = last.runs;
      body["last_started_at"] = iso(last.last_started_at);
      // A first run that was killed left no success behind.
      body["last_success_at"] = succeeded ? Json(iso(last.last_success_at)) : Json(nullptr);
      body["position"] = last.position;
      body["records_written"] = last.records_written;
      body["tombstones_written"] = last.tombstones_written;
      body["skipped_short_lived"] = last.skipped_short_lived;
      body["store"] = last.source.uuid + " epoch " + std::to_string(last.source.epoch);
      body["last_error"] = last.last_error;
      if (last.last_verified_at > setget::TimePoint{}) {
        body["last_verified_at"] = iso(last.last_verified_at);
        body["last_differences"] = last.last_differences;
      }
      if (last.runner_until > setget::TimePoint{}) body["runner"] = last.runner;
      Json history = Json::array();
      for (const auto& one : last.history) {
        history.push_back({{"started_at", iso(one.started_at)},
                           {"ended_at", iso(one.ended_at)},
                           {"read", one.read},
                           {"written", one.written},
                           {"tombstones", one.tombstones},
                           {"error", one.error}});
      }
      body["history"] = history;
    }
    print_counts(context.common, body);
    if (*checkpoint && !context.common.json) {
      for (const auto& one : (*checkpoint)->history) {
        std::printf("  %s to %s  read %llu, written %llu, tombstones %llu%s%s\n", iso(one.started_at).c_str(), iso(one.ended_at).c_str(),
                    static_cast<unsigned long long>(one.read), static_cast<unsigned long long>(one.written),
                    static_cast<unsigned long long>(one.tombstones), one.error.empty() ? "" : ": ", shown(one.error).c_str());
      }
    }
    return succeeded && (*checkpoint)->last_error.empty() ? kOk : kNo;
  });
}

// Every change that the archive refuses, page by page.
int quarantine(Context& context) {
  return with_archiver(context, Missing::kRefuse, [&](Session& session, setget::Archiver&) {
    Json list = Json::array();
    std::string cursor;
    do {
      const auto page = session.stores().archive->quarantined({.cursor = cursor, .limit = 500});
      if (!page) return failed(context.common, page.error());
      for (const auto& entry : page->entries) {
        Json line = {{"namespace", entry.ns}};
        put_bytes(line, "id", entry.id);
        line["version"] = entry.version;
        line["revision"] = entry.revision;
        const auto* const kind = entry.state_at ? "state" : entry.tombstone ? "tombstone" : "record";
        line["kind"] = kind;
        if (entry.state_at) line["state_at"] = iso(*entry.state_at);
        put_bytes(line, "reason", entry.reason);
        line["attempts"] = entry.attempts;
        line["since"] = iso(entry.since);
        line["last_at"] = iso(entry.last_at);
        if (!context.common.json) {
          std::printf("%s%s  %s, %llu tries since %s: %s\n", entry.ns.empty() ? "" : (entry.ns + "/").c_str(), shown(entry.id).c_str(),
                      kind, static_cast<unsigned long long>(entry.attempts), iso(entry.since).c_str(), shown(entry.reason).c_str());
        }
        list.push_back(std::move(line));
      }
      cursor = page->next;
    } while (!cursor.empty());
    if (context.common.json) print({{"quarantined", list.size()}, {"list", list}});
    return list.empty() ? kOk : kNo;
  });
}

struct Drop {
  std::string collection;
  bool sure = false;
};

// Only of an archive on MongoDB: one in a file is a file.
int drop([[maybe_unused]] Context& context, [[maybe_unused]] const Drop& asked) {
  auto config = resolve_config(context.common);
  if (!config) return failed(context.common, config.error());
  if (!config->archive.starts_with("mongodb:")) {
    return failed(context.common, Error(ErrorCode::kInvalidArgument, "the archive is not on MongoDB").at_field("archive"));
  }
#ifdef SETGET_WITH_MONGO
  const auto refuse = [&](const char* field, const std::string& why) {
    return failed(context.common, Error(ErrorCode::kInvalidArgument, why).at_field(field));
  };
  if (asked.collection != config->mongo.collection) {
    return refuse("collection", "the archive's collection is \"" + config->mongo.collection + "\", not \"" + asked.collection + "\"");
  }
  if (!asked.sure) return refuse("yes", "the archive \"" + asked.collection + "\" would be removed for good; --yes says that it is meant");
  auto database = setget::mongo::open(setget::mongo::options_of(config->mongo, config->archive));
  if (!database) return failed(context.common, database.error());
  if (auto dropped = database->drop(); !dropped) return failed(context.common, dropped.error());
  print_counts(context.common, {{"dropped", asked.collection}});
  return kOk;
#else
  return failed(context.common, Error(ErrorCode::kUnsupported, "MongoDB is not built in"));
#endif
}

void add_drop(CLI::App& archive, Context& context) {
  auto asked = std::make_shared<Drop>();
  auto* gone = archive.add_subcommand("drop", "remove an archive on MongoDB for good");
  gone->add_option("--collection", asked->collection, "its collection once more, as [mongo] of the configuration names it")->required();
  gone->add_flag("--yes", asked->sure, "it is meant");
  gone->callback([&context, asked] { context.chosen = [&context, asked] { return drop(context, *asked); }; });
}

void add_run(CLI::App& archive, Context& context) {
  auto* command = archive.add_subcommand("run", "copy what changed since the last run");
  auto flags = std::make_shared<RunFlags>();
  command->add_flag("--adopt", flags->adopt, "the store is meant to be another one than before");
  auto* rate =
      command->add_option("--rate", flags->rate, "records a second that it reads at most; 0 = no limit")->check(number_from_zero());
  auto* percent =
      command->add_option("--busy-percent", flags->busy_percent, "of the time that it may be at work: so much of a core at most")
          ->transform(whole_number(1, 100));
  command->add_flag("--progress", flags->progress, "a line on stderr each second (as on a terminal)");
  command->callback([&context, flags, rate, percent] {
    context.chosen = [&context, flags, rate, percent] { return run(context, *flags, rate->count() > 0, percent->count() > 0); };
  });
}

void add_verify(CLI::App& archive, Context& context) {
  auto* command = archive.add_subcommand("verify", "compare store and archive: exit 0 equal, 2 differences, 1 could not find out");
  auto options = std::make_shared<setget::VerifyOptions>();
  auto* deep = command->add_flag("--deep", options->deep, "read every payload byte on both sides");
  command->add_option("--sample", options->deep_sample, "with --deep: only of one record in so many, by turns from day to day")
      ->transform(whole_number(1))
      ->needs(deep)
      ->capture_default_str();
  auto* repair = command->add_flag("--repair", options->repair, "write what the archive lacks or has wrong");
  command->add_flag("--prune", options->prune, "with --repair: remove what only the archive has")->needs(repair);
  command->add_option("--max-differences", options->max_differences, "listed; all are counted")
      ->transform(whole_number(0))
      ->capture_default_str();
  command->callback([&context, options] { context.chosen = [&context, options] { return verify(context, *options); }; });
}

void add_restore(CLI::App& archive, Context& context) {
  struct Flags {
    std::string account, flow, owner, key, ttl, state, at;
    setget::RestoreOptions options;
  };
  auto* command = archive.add_subcommand("restore", "bring records back from the archive; all given conditions must hold");
  auto flags = std::make_shared<Flags>();
  const std::array<std::pair<CLI::Option*, std::optional<std::string> setget::RestoreOptions::*>, 4> conditions = {
      std::pair(command->add_option("--account", flags->account), &setget::RestoreOptions::account),
      std::pair(command->add_option("--flow", flags->flow), &setget::RestoreOptions::flow),
      std::pair(command->add_option("--owner", flags->owner), &setget::RestoreOptions::owner),
      std::pair(command->add_option("--key", flags->key), &setget::RestoreOptions::key)};
  auto* expired =
      command->add_flag("--include-expired", flags->options.include_expired, "expired ones too, with a fresh life by the TTL policy");
  command->add_option("--ttl", flags->ttl, "that life instead: never, 90s, 15m, 36h, 7d, 2w")->needs(expired)->check(length_of_time(true));
  command->add_flag("--overwrite", flags->options.overwrite, "over live data, as fresh versions; later sets win");
  command->add_option("--at", flags->at, "what was in force at this moment (RFC 3339), of flows that keep history");
  auto* dry = command->add_flag("--dry-run", flags->options.dry_run, "only count");
  command
      ->add_option("--state", flags->state, "a file in which it keeps how far it came: the same command goes on there after it was killed")
      ->excludes(dry);
  command->callback([&context, flags, conditions] {
    context.chosen = [&context, flags, conditions] {
      auto options = flags->options;
      if (context.common.ns) options.ns = *context.common.ns;
      for (const auto& [option, condition] : conditions) {
        if (option->count() > 0) options.*condition = option->as<std::string>();
      }
      if (!flags->ttl.empty()) {
        auto ttl = setget::parse_ttl(flags->ttl);
        if (!ttl) return failed(context.common, std::move(ttl).error().at_field("--ttl"));
        options.ttl = *ttl;
      }
      if (!flags->at.empty()) {
        auto moment = setget::parse_moment(flags->at);
        if (!moment) return failed(context.common, std::move(moment).error().at_field("--at"));
        options.at = *moment;
      }
      return restore(context, std::move(options), flags->state);
    };
  });
}

}  // namespace

void add_archive(CLI::App& app, Context& context) {
  auto* archive = app.add_subcommand("archive", "copy, compare and bring back");
  archive->require_subcommand(1);
  archive->fallthrough();
  add_run(*archive, context);
  add_verify(*archive, context);
  add_restore(*archive, context);
  add_drop(*archive, context);
  archive->add_subcommand("quarantine", "changes that the archive refuses, with the reasons; exit 2 if there are any")
      ->callback([&context] { context.chosen = [&context] { return quarantine(context); }; });
  archive->add_subcommand("status", "what the last runs did; exit 2 if there was none or the last one failed")->callback([&context] {
    context.chosen = [&context] { return status(context); };
  });
}

}  // namespace cli
