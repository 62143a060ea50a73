// Dead letters: looked at by stamp over all parts, chosen here, moved by the parts.
#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "redis/queue_backend.hpp"
#include "redis/queue_checks.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

constexpr std::size_t kPortion = 100;  // letters of one part at a time

class Filter {
 public:
  explicit Filter(const DeadLetterFilter& filter) : filter_(filter), ids_(filter.message_ids.begin(), filter.message_ids.end()) {}
  bool passes(const DeadLetter& letter) const {
    if (filter_.dead_before && letter.dead_at >= *filter_.dead_before) return false;
    if (filter_.dead_after && letter.dead_at <= *filter_.dead_after) return false;
    if (!ids_.empty() && !ids_.contains(letter.message_id)) return false;
    const auto has_code = [&](const Reason& reason) { return reason.code == filter_.reason_code; };
    return filter_.reason_code.empty() || std::any_of(letter.reasons.begin(), letter.reasons.end(), has_code);
  }

 private:
  const DeadLetterFilter& filter_;
  std::unordered_set<std::string> ids_;
};

}  // namespace

Result<std::vector<RedisQueues::Letter>> RedisQueues::letters(const QueuePtr& queue, Stamp after, std::size_t limit, Deadline deadline) {
  auto replies = on_all_parts(
      queue,
      [&](std::uint32_t part) {
        auto call = on_part(queue_scripts::dead(), *queue, part);
        call.arg(static_cast<std::int64_t>(after)).arg(static_cast<std::int64_t>(limit));
        return call;
      },
      deadline);
  if (!replies) return std::move(replies).error();
  std::vector<Letter> found;
  for (std::uint32_t part = 0; part < queue->parts(); ++part) {
    const auto fields = (*replies)[part].elements();
    for (std::size_t at = 2; at + 1 < fields.size(); at += 2) {
      const auto info = fields[at + 1].elements();
      if (info.size() != 6) return Error(ErrorCode::kCorrupted, "not the answer of this script").from(ErrorSource::kRedis, 0, {});
      Letter letter{.part = part, .number = static_cast<std::uint64_t>(fields[at].integer()), .content = {}};
      const auto origin = static_cast<Stamp>(info[5].integer());
      letter.content.stamp = static_cast<Stamp>(info[0].integer());
      letter.content.message_id = message_id_of({.queue = queue->name(),
                                                 .part = part,
                                                 .number = letter.number,
                                                 .stamp = origin != 0 ? origin : letter.content.stamp,
                                                 .born = fields[1].text()});
      letter.content.reasons = decode_reasons(info[3].text());
      letter.content.history = decode_reasons(info[4].text());
      letter.content.receive_count = static_cast<std::uint32_t>(info[2].integer());
      letter.content.sent_at = time_of(letter.content.stamp);
      letter.content.dead_at = TimePoint(Milliseconds(info[1].integer()));
      found.push_back(std::move(letter));
    }
  }
  // What lies behind the last of a part that has more to give is not known yet.
  std::sort(found.begin(), found.end(), [](const Letter& a, const Letter& b) { return a.content.stamp < b.content.stamp; });
  if (found.size() > limit) found.resize(limit);
  return found;
}

// Each record in a reply of its own: together they could be larger than any reply may be. Who was redriven or purged meanwhile is left out;
// whose record is missing or damaged is not.
Result<std::vector<DeadLetter>> RedisQueues::with_records(const KnownQueue& queue, std::vector<Letter> letters, Deadline deadline) {
  std::vector<RedisCommand> ask;
  ask.reserve(letters.size());
  for (const auto& letter : letters) {
    RedisCommand one("HGET");
    one.key(queue.shards->name(letter.part, queue.name() + ":b")).arg(static_cast<std::int64_t>(letter.number));
    ask.push_back(std::move(one).idempotent());
  }
  std::vector<DeadLetter> out;
  if (ask.empty()) return out;
  auto replies = place_->client().pipeline(ask, deadline);
  out.reserve(letters.size());
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if (!replies[i]) return std::move(replies[i]).error();
    if (replies[i]->is_nil()) {
      const auto key = queue.shards->name(letters[i].part, queue.name() + ":x");
      auto dead =
          place_->client().call(RedisCommand("HEXISTS").key(key).arg(static_cast<std::int64_t>(letters[i].number)).idempotent(), deadline);
      if (!dead) return std::move(dead).error();
      if (dead->integer() == 0) continue;
    }
    auto& letter = out.emplace_back(std::move(letters[i].content));
    auto record = decode_record(replies[i]->take_payload());
    if (!record) {
      mark_damaged(letter.reasons);
      continue;
    }
    letter.body = std::move(record->body);
    letter.attributes = std::move(record->attributes);
    letter.group = std::move(record->group);
  }
  return out;
}

Result<DeadLetterPage> RedisQueues::dead_letters(const ListDeadLetters& request) {
  if (auto valid = check_positive("limit", request.limit); !valid) return std::move(valid).error();
  const auto deadline = request.deadline;
  // The cursor is the stamp of the last letter of the page before, in decimal.
  Stamp after = 0;
  if (!request.cursor.empty()) {
    const auto* end = request.cursor.data() + request.cursor.size();
    const auto [stop, problem] = std::from_chars(request.cursor.data(), end, after);
    if (problem != std::errc() || stop != end) return Error(ErrorCode::kInvalidArgument, "not a cursor of dead letters").at_field("cursor");
  }
  const Filter filter(request.filter);
  return with_queue(request.queue, deadline, [&](const QueuePtr& queue) -> Result<DeadLetterPage> {
    DeadLetterPage page;
    std::vector<Letter> chosen;
    bool more = true;
    for (auto from = after; more && page.next.empty();) {
      // One more than is wanted tells whether there is a next page.
      const auto portion = std::min(kPortion - 1, request.limit - chosen.size()) + 1;
      auto found = letters(queue, from, portion, deadline);
      if (!found) return std::move(found).error();
      more = found->size() == portion;
      for (auto& letter : *found) {
        from = letter.content.stamp;
        if (!filter.passes(letter.content)) continue;
        if (chosen.size() == request.limit) {
          page.next = std::to_string(chosen.back().content.stamp);
          break;
        }
        chosen.push_back(std::move(letter));
      }
    }
    auto letters_of_page = with_records(*queue, std::move(chosen), deadline);
    if (!letters_of_page) return std::move(letters_of_page).error();
    page.letters = *std::move(letters_of_page);
    return page;
  });
}

Result<std::size_t> RedisQueues::for_each_letter(std::string_view name, const DeadLetterFilter& chosen, std::size_t limit,
                                                 Deadline deadline,
                                                 const std::function<Result<std::size_t>(const QueuePtr&, std::span<const Letter>)>& step) {
  const Filter filter(chosen);
  std::size_t done = 0;
  Stamp after = 0;
  return with_queue(name, deadline, [&](const QueuePtr& queue) -> Result<std::size_t> {
    for (bool last = false; done < limit && !last;) {
      auto found = letters(queue, after, kPortion, deadline);
      if (!found) return std::move(found).error();
      if (found->empty()) break;
      const auto end_of_page = found->back().content.stamp;
      last = found->size() < kPortion;
      std::erase_if(*found, [&](const Letter& letter) { return !filter.passes(letter.content); });
      if (found->size() > limit - done) found->erase(found->begin() + static_cast<std::ptrdiff_t>(limit - done), found->end());
      std::stable_sort(found->begin(), found->end(), [](const Letter& a, const Letter& b) { return a.part < b.part; });
      for (std::size_t from = 0; from < found->size();) {
        auto end = from + 1;
        while (end < found->size() && (*found)[end].part == (*found)[from].part) ++end;
        auto moved = step(queue, std::span(*found).subspan(from, end - from));
        if (!moved) return std::move(moved).error();
        done += *moved;
        from = end;
      }
      after = end_of_page;
    }
    queue->bell->ring();
    return done;
  });
}

Result<std::size_t> RedisQueues::redrive(const RedriveDeadLetters& request) {
  // Those that get fresh stamps go to the end of the list only once they are dead again: the walk ends where it began.
  return for_each_letter(request.queue, request.filter, request.limit, request.deadline,
                         [&](const QueuePtr& queue, std::span<const Letter> letters) -> Result<std::size_t> {
                           auto answers = run_surely(
                               queue, 1,
                               [&](std::size_t, bool) {
                                 auto call = on_part_with_stamps(queue_scripts::redrive(), *queue, letters.front().part);
                                 call.arg(now()).arg(static_cast<std::int64_t>(last_stamp_.load())).arg(letters.front().part);
                                 call.arg(queue->parts()).arg(request.restamp ? "1" : "0");
                                 for (const auto& letter : letters) call.arg(static_cast<std::int64_t>(letter.number));
                                 return call;
                               },
                               request.deadline);
                           if (!answers[0]) return std::move(answers[0]).error();
                           const auto fields = answers[0]->elements();
                           if (fields.size() != 3) return std::size_t{0};
                           // What this process sends from now on comes after them, in whatever part.
                           saw(static_cast<Stamp>(fields[2].integer()));
                           return static_cast<std::size_t>(fields[1].integer());
                         });
}

Result<std::size_t> RedisQueues::purge(const PurgeDeadLetters& request) {
  return for_each_letter(request.queue, request.filter, request.limit, request.deadline,
                         [&](const QueuePtr& queue, std::span<const Letter> letters) -> Result<std::size_t> {
                           auto answers = run_surely(
                               queue, 1,
                               [&](std::size_t, bool) {
                                 auto call = on_part(queue_scripts::purge(), *queue, letters.front().part);
                                 call.arg(now());
                                 for (const auto& letter : letters) call.arg(static_cast<std::int64_t>(letter.number));
                                 return call;
                               },
                               request.deadline);
                           if (!answers[0]) return std::move(answers[0]).error();
                           const auto fields = answers[0]->elements();
                           return fields.size() == 2 ? static_cast<std::size_t>(fields[1].integer()) : 0;
                         });
}

}  // namespace setget::inline v0::redis
