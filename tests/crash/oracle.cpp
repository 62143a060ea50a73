#include "crash/oracle.hpp"

#include <charconv>
#include <chrono>
#include <optional>
#include <sstream>

namespace crash {

using namespace setget;

namespace {

std::string problem(int identity, const std::string& what) { return id_of(identity) + ": " + what; }

std::string text_of(const Error& error) {
  auto text = std::string(to_string(error.code())) + ": " + error.message();
  return error.native_text().empty() ? text : text + " (" + error.native_text() + ")";
}

}  // namespace

std::optional<std::uint64_t> number_in(std::string_view payload) {
  const auto end = payload.find('|');
  const auto start = payload.find('#');
  if (start == std::string_view::npos || end == std::string_view::npos || start > end) return std::nullopt;
  std::uint64_t n = 0;
  const auto [stop, failed] = std::from_chars(payload.data() + start + 1, payload.data() + end, n);
  return failed == std::errc() && stop == payload.data() + end ? std::optional(n) : std::nullopt;
}

std::string id_of(int identity) { return "record-" + std::to_string(identity); }

std::string payload_of(int identity, std::uint64_t n) {
  auto state = n * 0x9e3779b97f4a7c15ULL + static_cast<std::uint64_t>(identity);
  const auto next = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  };
  std::string payload = id_of(identity) + "#" + std::to_string(n) + "|";
  const auto length = 20 + next() % 2500;
  while (payload.size() < length) payload.push_back(static_cast<char>('a' + next() % 26));
  return payload;
}

std::vector<std::string> keys_of(int identity, std::uint64_t n) {
  std::vector<std::string> keys{"own/" + std::to_string(identity), "part/" + std::to_string(identity) + "/" + std::to_string(n % 3)};
  if (n % 2 == 0) keys.push_back("shared/" + std::to_string(identity % 3));
  return keys;
}

SetRequest request_of(int identity, std::uint64_t n) {
  SetRequest request;
  request.id = id_of(identity);
  const auto keys = keys_of(identity, n);
  request.keys = KeyList(std::span<const std::string>(keys));
  request.account = "acme";
  request.flow = "orders";
  request.content_type = "text/plain";
  request.payload = Payload(payload_of(identity, n));
  return request;
}

QueueOptions queue_options() {
  QueueOptions options;
  options.max_receives = 0;
  // What a killed worker held comes back soon.
  options.visibility_timeout = Milliseconds(100);
  return options;
}

PipelineOptions pipeline_options() {
  PipelineOptions options;
  options.archive_schedule = "";
  options.linger = Milliseconds(0);
  options.prefetch_batches = 1;
  options.worker_batch = 16;
  return options;
}

Result<std::unique_ptr<Pipeline>> make_pipeline(sqlite::Database database, std::shared_ptr<const Clock> clock,
                                                std::shared_ptr<Random> random) {
  auto queue = database.queue("records", queue_options());
  if (!queue) return std::move(queue).error();
  auto options = pipeline_options();
  options.queue = *std::move(queue);
  options.key_store = database.key_store();
  options.archive = database.archive();
  options.schedule_store = database.schedules();
  options.clock = std::move(clock);
  options.random = std::move(random);
  return Pipeline::create(std::move(options));
}

void Oracle::acknowledged_set(int identity, std::uint64_t n, Version version) {
  ++acknowledged_;
  auto& known = known_[identity];
  known.erase_under_way = false;
  known.version = version;
  known.n = n;
}

void Oracle::acknowledged_erase(int identity, Version version) {
  ++acknowledged_;
  auto& known = known_[identity];
  known.erase_under_way = false;
  known.version = version;
  known.n = 0;
}

void Oracle::will_erase(int identity) { known_[identity].erase_under_way = true; }

bool Oracle::seen(int identity, Version version) {
  auto& known = known_[identity];
  if (version < known.seen) return false;
  known.seen = version;
  return true;
}

bool Oracle::line(std::string_view text) {
  std::istringstream in{std::string(text)};
  char kind = 0;
  int identity = 0;
  std::uint64_t n = 0;
  Version version = 0;
  in >> kind >> identity;
  if (kind == 'S' && in >> n >> version) return acknowledged_set(identity, n, version), true;
  if (kind == 'E' && in >> version) return acknowledged_erase(identity, version), true;
  if (kind == 'G' && in >> version) return seen(identity, version);
  if (kind == 'T' && in) return will_erase(identity), true;
  return false;
}

std::string Oracle::check(Pipeline& pipeline) {
  if (auto lost = drain(pipeline); !lost.empty()) return lost;
  if (auto lost = check_ledger(pipeline); !lost.empty()) return lost;
  for (int identity = 0; identity < kIdentities; ++identity) {
    if (auto lost = check_identity(pipeline, identity); !lost.empty()) return lost;
  }
  return check_log(pipeline);
}

std::string Oracle::check_log(Pipeline& pipeline) {
  auto& store = *pipeline.options().key_store.backend();
  auto cursor = store.open_cursor({.name = "oracle"});
  if (!cursor) return "log cannot be read: " + text_of(cursor.error());
  for (auto at = cursor->position;;) {
    const auto batch = store.changes({.cursor = "oracle", .after = at, .limit = 500});
    if (!batch) return "log cannot be read: " + text_of(batch.error());
    for (const auto& change : batch->changes) {
      const auto now = std::pair(change.version, change.revision);
      const auto [last, fresh] = logged_.try_emplace(change.id, now);
      if (!fresh && now <= last->second) {
        return change.id + ": the log says version " + std::to_string(now.first) + "." + std::to_string(now.second) + " after " +
               std::to_string(last->second.first) + "." + std::to_string(last->second.second);
      }
      last->second = now;
    }
    at = batch->next;
    if (auto committed = store.commit_cursor("oracle", at); !committed) return "log: " + text_of(committed.error());
    if (batch->at_end) return {};
  }
}

std::string Oracle::drain(Pipeline& pipeline) {
  const auto deadline = Deadline::in(std::chrono::seconds(20));
  while (true) {
    Queue queue(pipeline.options().queue);
    const auto stats = queue.stats();
    if (!stats) return "queue cannot be read: " + text_of(stats.error());
    if (stats->depth + stats->in_flight + stats->delayed == 0) return {};
    if (deadline.passed()) {
      auto text = "not worked off: depth " + std::to_string(stats->depth) + ", in flight " + std::to_string(stats->in_flight) +
                  ", delayed " + std::to_string(stats->delayed);
      // Never received is another mistake than received again and again.
      const auto left = queue.backend()->peek({.queue = queue.name()});
      if (!left) return text + ", " + text_of(left.error());
      for (const auto& message : *left)
        text += "; " + message.message_id + " was received " + std::to_string(message.receive_count) + " times";
      return text;
    }
    if (auto ran = pipeline.run_once(Deadline::in(Milliseconds(50))); !ran) return "worker: " + text_of(ran.error());
  }
}

std::string Oracle::check_ledger(Pipeline& pipeline) const {
  const auto stats = Queue(pipeline.options().queue).stats();
  if (!stats) return "queue cannot be read: " + text_of(stats.error());
  std::uint64_t finished = 0;
  for (const auto count : stats->outcomes) finished += count;
  if (finished != stats->accepted)
    return "ledger: " + std::to_string(finished) + " finished of " + std::to_string(stats->accepted) + " accepted";
  if (stats->accepted < acknowledged_) {
    return "ledger: " + std::to_string(stats->accepted) + " accepted, " + std::to_string(acknowledged_) + " acknowledged";
  }
  if (stats->dead_letters != 0) return "ledger: " + std::to_string(stats->dead_letters) + " dead letters";
  return {};
}

std::string Oracle::check_identity(Pipeline& pipeline, int identity) {
  auto found = pipeline.reader().get_by_id(id_of(identity));
  if (!found) return problem(identity, "cannot be read: " + text_of(found.error()));
  auto& known = known_[identity];
  const auto& record = *found;
  if (!record) {
    const bool may_be_gone = known.n == 0 || known.erase_under_way;
    if (!may_be_gone) return problem(identity, "lost; version " + std::to_string(known.version) + " was acknowledged");
    for (const auto& key : keys_of(identity, 0)) {
      const auto other = pipeline.get(key);
      if (!other) return problem(identity, "key cannot be read: " + text_of(other.error()));
      if (*other && (*other)->id == id_of(identity)) return problem(identity, "half visible: gone by id, there by key " + key);
    }
    return {};
  }
  if (record->version < known.version) {
    return problem(identity, "version " + std::to_string(record->version) + ", acknowledged " + std::to_string(known.version));
  }
  if (record->version < known.seen) {
    return problem(identity, "version " + std::to_string(record->version) + ", seen before " + std::to_string(known.seen));
  }
  if (record->version == known.version && known.n == 0) return problem(identity, "there, though its erase was acknowledged");
  const auto n = number_in(record->payload.view());
  if (!n || record->payload.view() != payload_of(identity, *n)) return problem(identity, "payload is not what was set");
  if (record->version == known.version && *n != known.n) return problem(identity, "payload is of another set");
  const auto keys = keys_of(identity, *n);
  if (!(record->keys == KeyList(std::span<const std::string>(keys)))) return problem(identity, "keys are not what was set");
  known.seen = record->version;
  return check_keys(pipeline, *record);
}

std::string Oracle::check_keys(Pipeline& pipeline, const Record& record) const {
  for (const auto key : record.keys) {
    const auto there = pipeline.get(key);
    if (!there) return record.id + ": key cannot be read: " + text_of(there.error());
    const bool mine = *there && (*there)->id == record.id;
    if (mine && (*there)->version != record.version) return record.id + ": half visible: another version by key " + std::string(key);
    if (mine && (*there)->payload != record.payload) return record.id + ": half visible: another payload by key " + std::string(key);
    if (mine == record.lost_keys.contains(key))
      return record.id + ": half visible: key " + std::string(key) + (mine ? " was lost and leads here" : " leads elsewhere");
  }
  return {};
}

}  // namespace crash
