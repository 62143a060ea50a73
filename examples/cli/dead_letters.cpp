// dlq list, show, redrive, purge.
#include <chrono>
#include <cstdio>
#include <thread>

#include "arguments.hpp"
#include "cli.hpp"
#include "output.hpp"

namespace cli {

namespace {

using setget::DeadLetter;
using setget::Error;
using setget::ErrorCode;
using setget::Result;

struct FilterFlags {
  std::vector<std::string> ids;
  std::string reason, older_than, newer_than;
  bool any() const { return !ids.empty() || !reason.empty() || !older_than.empty() || !newer_than.empty(); }
};

void add_filter(CLI::App& command, FilterFlags& flags) {
  command.add_option("--id", flags.ids, "message_id; repeat for several")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command.add_option("--reason", flags.reason, "only with this reason code, e.g. version_conflict");
  command.add_option("--older-than", flags.older_than, "dead for longer than this, e.g. 1h")->check(length_of_time());
  command.add_option("--newer-than", flags.newer_than, "dead for less than this")->check(length_of_time());
}

Result<setget::DeadLetterFilter> make_filter(const FilterFlags& flags) {
  setget::DeadLetterFilter filter;
  filter.message_ids = flags.ids;
  filter.reason_code = flags.reason;
  const auto now = setget::system_clock()->now();
  if (!flags.older_than.empty()) {
    const auto length = parse_wait(flags.older_than);
    if (!length) return length.error();
    filter.dead_before = now - *length;
  }
  if (!flags.newer_than.empty()) {
    const auto length = parse_wait(flags.newer_than);
    if (!length) return length.error();
    filter.dead_after = now - *length;
  }
  return filter;
}

Json describe(const DeadLetter& letter) {
  Json body = {{"message_id", letter.message_id},       {"dead_at", iso(letter.dead_at)}, {"sent_at", iso(letter.sent_at)},
               {"receive_count", letter.receive_count}, {"bytes", letter.body.size()},    {"reasons", reasons_json(letter.reasons)}};
  const auto command = setget::decode_command(letter.body);
  if (!command) return body;
  put_bytes(body, "id", command->id);
  if (!command->keys.empty()) put_bytes(body, "first_key", command->keys.front());
  body["account"] = command->account;
  body["flow"] = command->flow;
  return body;
}

struct ListFlags {
  FilterFlags filter;
  std::size_t limit = 100;
  std::string cursor;
};

int list(Context& context, const ListFlags& flags) {
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused);
  if (!session) return failed(context.common, session.error());
  auto filter = make_filter(flags.filter);
  if (!filter) return failed(context.common, filter.error());
  const auto& queue = session->stores().queue;
  const auto page =
      queue.backend()->dead_letters({.queue = queue.name(), .filter = std::move(*filter), .cursor = flags.cursor, .limit = flags.limit});
  if (!page) return failed(context.common, page.error());
  if (context.common.json) {
    Json letters = Json::array();
    for (const auto& letter : page->letters) letters.push_back(describe(letter));
    print({{"dead_letters", letters}, {"next", page->next}});
    return kOk;
  }
  for (const auto& letter : page->letters) {
    std::printf("%s  %s  received %u  %zu bytes  %s\n", letter.message_id.c_str(), iso(letter.dead_at).c_str(), letter.receive_count,
                letter.body.size(), letter.reasons.empty() ? "-" : letter.reasons.front().code.c_str());
  }
  if (!page->next.empty()) std::printf("more: --cursor %s\n", page->next.c_str());
  return kOk;
}

int show(Context& context, const std::string& id, bool body_only) {
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused);
  if (!session) return failed(context.common, session.error());
  const auto& queue = session->stores().queue;
  setget::DeadLetterFilter filter;
  filter.message_ids = {id};
  const auto page = queue.backend()->dead_letters({.queue = queue.name(), .filter = filter, .cursor = {}, .limit = 1});
  if (!page) return failed(context.common, page.error());
  if (page->letters.empty()) {
    std::fprintf(stderr, "setget: no dead letter %s\n", shown(id).c_str());
    return kNo;
  }
  const auto& letter = page->letters.front();
  if (body_only) {
    const auto command = setget::decode_command(letter.body);
    const auto bytes = command ? command->payload.view() : letter.body.view();
    return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() ? kOk : kFailed;
  }
  Json body = describe(letter);
  body["history"] = reasons_json(letter.history);
  body["group_base64"] = base64(letter.group);
  Json attributes = Json::object();
  for (const auto& [name, value] : letter.attributes) put_bytes(attributes, name, value.data);
  body["attributes"] = attributes;
  body["body_base64"] = base64(letter.body.view());
  if (context.common.json) {
    print(body);
    return kOk;
  }
  body.erase("body_base64");
  for (const auto& [name, value] : body.items()) {
    std::printf("%-14s %s\n", name.c_str(), value.is_string() ? shown(value.get<std::string>()).c_str() : value.dump().c_str());
  }
  std::printf("(--payload prints the original bytes)\n");
  return kOk;
}

struct MoveFlags {
  FilterFlags filter;
  bool all = false;
  bool restamp = false;
  std::uint64_t limit = 0;  // 0 = no limit
  double rate = 0;          // messages per second; 0 = no limit
};

// Calls `step(filter, how many)` until it moves nothing more, the limit is reached, or it fails; not faster than the rate. Letters that die
// while it runs are left out, so that a message which dies again at once does not keep the loop going.
template <class Step>
Result<std::uint64_t> move_all(const MoveFlags& flags, Step step) {
  auto filter = make_filter(flags.filter);
  if (!filter) return std::move(filter).error();
  const auto now = setget::system_clock()->now() + setget::Milliseconds(1);
  if (!filter->dead_before || *filter->dead_before > now) filter->dead_before = now;
  const std::uint64_t batch = flags.rate > 0 ? static_cast<std::uint64_t>(std::max(1.0, std::min(100.0, flags.rate / 4))) : 100;
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t moved = 0;
  while (flags.limit == 0 || moved < flags.limit) {
    const std::uint64_t want = flags.limit == 0 ? batch : std::min(batch, flags.limit - moved);
    const Result<std::size_t> done = step(*filter, static_cast<std::size_t>(want));
    if (!done) return done.error();
    if (*done == 0) break;
    moved += *done;
    if (flags.rate > 0) std::this_thread::sleep_until(start + std::chrono::duration<double>(static_cast<double>(moved) / flags.rate));
  }
  return moved;
}

int redrive(Context& context, const MoveFlags& flags) {
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused, QueueUse::kWorks);
  if (!session) return failed(context.common, session.error());
  const auto& queue = session->stores().queue;
  const auto moved = move_all(flags, [&](const setget::DeadLetterFilter& filter, std::size_t limit) {
    return queue.backend()->redrive({.queue = queue.name(), .filter = filter, .limit = limit, .restamp = flags.restamp});
  });
  if (!moved) return failed(context.common, moved.error());
  if (context.common.json) print({{"redriven", *moved}});
  if (!context.common.json)
    std::printf("redriven %llu; a server or `setget queue drain` applies them\n", static_cast<unsigned long long>(*moved));
  return kOk;
}

int purge(Context& context, const MoveFlags& flags) {
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused, QueueUse::kWorks);
  if (!session) return failed(context.common, session.error());
  const auto& queue = session->stores().queue;
  const auto moved = move_all(flags, [&](const setget::DeadLetterFilter& filter, std::size_t limit) {
    return queue.backend()->purge({.queue = queue.name(), .filter = filter, .limit = limit});
  });
  if (!moved) return failed(context.common, moved.error());
  if (context.common.json) print({{"purged", *moved}});
  if (!context.common.json) std::printf("purged %llu\n", static_cast<unsigned long long>(*moved));
  return kOk;
}

void add_move(CLI::App& dlq, Context& context, const char* name, const char* what, int (*run)(Context&, const MoveFlags&),
              bool with_restamp) {
  auto* command = dlq.add_subcommand(name, what);
  auto flags = std::make_shared<MoveFlags>();
  add_filter(*command, flags->filter);
  command->add_flag("--all", flags->all, "every dead letter; needed where no filter is given");
  command->add_option("--limit", flags->limit, "at most so many (default: no limit)")->transform(whole_number(1));
  command->add_option("--rate", flags->rate, "messages per second (default: as fast as it goes)")->check(number_above_zero());
  if (with_restamp) {
    command->add_flag("--restamp", flags->restamp, "as if accepted now: for messages older than what the store still remembers");
  }
  command->callback([&context, flags, run] {
    if (!flags->all && !flags->filter.any()) throw CLI::RequiredError("--all, or a filter (--id, --reason, --older-than, --newer-than),");
    context.chosen = [&context, flags, run] { return run(context, *flags); };
  });
}

}  // namespace

void add_dead_letters(CLI::App& app, Context& context) {
  auto* dlq = app.add_subcommand("dlq", "dead letters: list, show, bring back, remove");
  dlq->require_subcommand(1);
  dlq->fallthrough();
  auto* lister = dlq->add_subcommand("list", "oldest first");
  auto flags = std::make_shared<ListFlags>();
  add_filter(*lister, flags->filter);
  lister->add_option("--limit", flags->limit)->capture_default_str()->transform(whole_number(1));
  lister->add_option("--cursor", flags->cursor, "as the page before printed it");
  lister->callback([&context, flags] { context.chosen = [&context, flags] { return list(context, *flags); }; });

  struct ShowFlags {
    std::string id;
    bool payload = false;
  };
  auto* shower = dlq->add_subcommand("show", "reasons, history and original bytes of one");
  auto shown_flags = std::make_shared<ShowFlags>();
  shower->add_option("id", shown_flags->id, "message_id")->required();
  shower->add_flag("--payload", shown_flags->payload, "print only the payload, byte for byte");
  shower->callback([&context, shown_flags] {
    context.chosen = [&context, shown_flags] { return show(context, shown_flags->id, shown_flags->payload); };
  });

  add_move(*dlq, context, "redrive", "back into the queue", redrive, true);
  add_move(*dlq, context, "purge", "remove for good", purge, false);
}

}  // namespace cli
