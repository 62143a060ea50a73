#!/usr/bin/env python3
"""Breaks the SDK on purpose, one rule at a time, and shows which test notices.

    tests/mutants/run.py BUILD_DIR [NAME…]
    tests/mutants/run.py --check

BUILD_DIR is a configured Ninja build with static libraries; the test programs that the mutants need are brought up to date first. Nothing in
the source tree is touched: each mutant is a copy of one source file, compiled with that file's own command and linked in front of the
libraries into a test program of its own. Prints a Markdown table and exits non-zero if a mutant survives. docs/reliability-mutants.md keeps
the latest table. --check only looks whether each mutant still has its text in its file.
"""
import dataclasses
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

MODEL = "src/core/model.cpp"
QUEUE = "src/memory/queue_state.cpp"
STORE = "src/memory/key_store.cpp"
ARCHIVE = "src/memory/archive.cpp"
ARCHIVE_HISTORY = "src/memory/archive_history.cpp"
TTL = "src/pipeline/ttl.cpp"
ROUND = "src/pipeline/worker_round.cpp"
LEDGER = "src/pipeline/run_ledger.cpp"
PIPELINE = "src/pipeline/pipeline.cpp"
VALIDATOR = "src/validator/validator.cpp"
ORDERS = "memory_key_store.*"
RECORDS = "memory_key_store.*"
QUEUES = "memory_queue.*"
SQLITE_QUEUES = "sqlite_queue.*"
SQLITE_RECORDS = "sqlite_key_store.*"
FRESH = "src/redis/store_fresh.cpp"
COMMIT = "src/redis/store_commit.cpp"
PHASES = "src/redis/store_phases.cpp"
PHASES_WORK = "src/redis/store_phases_work.cpp"
OVERLAY = "src/redis/store_overlay.cpp"
OVERLAY_MODEL = "src/redis/store_overlay_model.cpp"
LOOKUP = "src/redis/store_lookup.cpp"
RECLAIM = "src/redis/store_reclaim.cpp"
CACHE = "src/redis/answer_cache.cpp"
SEND = "src/redis/queue_scripts.cpp"
LEASE = "src/redis/queue_scripts_lease.cpp"
FRAMES = "src/redis/queue_scripts_frames.cpp"
REDIS_RECORDS = "redis_key_store.*:redis_parts_key_store.*"
REDIS_QUEUES = "redis_queue.*"
MONGO = "src/mongo/writer.cpp"
MONGO_DOCUMENT = "src/mongo/codec.cpp"
MONGO_NAMES = "src/mongo/names.cpp"
MONGO_READER = "src/mongo/reader.cpp"
MONGO_CURSORS = "src/mongo/cursors.cpp"
MONGO_PIECES = "src/mongo/chunks.cpp"
MONGO_HISTORY = "src/mongo/history_write.cpp"
MONGO_ARCHIVE = "src/mongo/archive.cpp"
ARCHIVER = "src/pipeline/archiver.cpp"

# A test that takes longer than this has noticed.
LIMIT = 60


# One mutant: its name, what is broken, the invariant of DESIGN section 3, the source file, the patches (text, replacement; each text is
# looked for once, and kept short, so that work beside it does not break it), and where it should be noticed: a target and a filter.
@dataclasses.dataclass
class Mutant:
    name: str
    what: str
    invariant: int
    path: str
    patches: list
    target: str
    tests: str
    environment: dict = dataclasses.field(default_factory=dict)


def in_kit(name, what, invariant, path, text, replacement, tests):
    return Mutant(name, what, invariant, path, [(text, replacement)], "conformance_test", tests)


def in_unit(name, what, invariant, path, text, replacement, target, tests="*"):
    return Mutant(name, what, invariant, path, [(text, replacement)], target, tests)


MUTANTS = [
    in_kit("stale_claims", "a stale set claims no keys", 3, MODEL,
     "if (auto done = claim(entry, before); !done) return std::move(done).error();\n      return stays(Outcome::kStale, before);",
     "return stays(Outcome::kStale, before);", ORDERS),
    in_kit("marks", "an erase by key spares what is applied after it", 3, MODEL, "erased = erased || slot.mark > stamp;", "", ORDERS),
    in_kit("superseded", "a record without any key left stays", 3, MODEL, "return erased || superseded;", "return erased;", ORDERS),
    in_kit("earliest", "of equal sets the first applied counts, not the first accepted", 3, MODEL,
     "if (entry.stamp < before.stamp) {", "if (entry.stamp < before.stamp && false) {", ORDERS),
    in_kit("conflict", "an equal version with other bytes passes as a duplicate", 3, MODEL, "if (!same) {", "if (!same && false) {", RECORDS),
    in_kit("late_sets", "a set below the floor ends with its payload", 2, MODEL, "over ? Outcome::kExpired : Outcome::kDeadLettered", "Outcome::kExpired",
           RECORDS),
    in_unit("floor_apart", "the floor of a store apart from its queue waits for nobody else", 2, "src/pipeline/maintenance.cpp",
            "if (oldest && parts_.key_store.backend()->fused_with(backend) == nullptr)", "if (false)", "unit_pipeline", "Pipeline.keeps_the_floor*"),
    in_kit("falling_back", "the best claim of another identity is not kept", 3, MODEL, "next.other_stamp = slot.claim_stamp;", "", ORDERS),
    in_kit("touch_waits", "a touch that comes before its set is forgotten", 3, MODEL, "slot.touch_stamp = entry.stamp;", "", ORDERS),
    in_kit("dropped_keys", "a key that the new version does not list still leads", 4, MODEL, "released.leads = false;", "", RECORDS),
    in_kit("expired_set", "a set that has expired when it is applied is stored", 6, MODEL,
     "const bool expired = slot.expires_at && *slot.expires_at <= context_.now;", "const bool expired = false;", RECORDS),
    in_kit("reader_clock", "the reader's time is not asked", 6, STORE,
     "return row.slot.expires_at && *row.slot.expires_at <= now;", "return row.slot.expires_at && now.time_since_epoch().count() < 0;", RECORDS),
    in_kit("archive_expired", "the archive answers with expired records", 6, ARCHIVE, "entry.tombstone || entry.record.expired(now)",
     "entry.tombstone || (entry.record.expired(now) && false)", "memory_archive.*"),
    in_kit("archive_guard", "an older version overwrites a newer one in the archive", 10, ARCHIVE,
     "std::pair(there.version, there.revision) >= std::pair(entry.version, entry.revision)",
     "std::pair(there.version, there.revision) == std::pair(entry.version, entry.revision)", "memory_archive.*"),
    in_kit("old_receipt", "an old receipt settles the later lease", 8, QUEUE, " || found->second.token != *token", "", QUEUES),
    in_kit("lease_end", "a lease that ends leaves the later ones of its group in flight", 8, QUEUE,
     "for (auto* other : later) end_lease(*other);\n  for (auto* other : later) release(*other, now, now);", "", QUEUES),
    in_kit("poison", "a receive is not counted", 9, QUEUE, "++message.receives;", "", QUEUES),
    in_kit("ledger", "an outcome is not counted", 2, QUEUE, "++outcomes_[static_cast<std::size_t>(finished.outcome)];", "", QUEUES),
    in_kit("in_flight", "max_in_flight is not kept", 11, QUEUE, " && in_flight_ < info_.options.max_in_flight", "", QUEUES),
    in_kit("max_bytes", "a batch may be larger than max_bytes", 11, QUEUE, "if (bytes > request.max_bytes && !taken.empty()) break;", "", QUEUES),
    # 1: durable before acknowledged
    in_unit("no_sync", "a commit is acknowledged before it is synced", 1, "src/sqlite/open.cpp",
            '"FULL" : "NORMAL"', '"NORMAL" : "NORMAL"', "unit_sqlite", "SqliteCommit.a_lone_send_costs_one_sync:SqliteDoctor.*"),
    Mutant("no_sync_power", "the same, and the power fails", 1, "src/sqlite/open.cpp", [('"FULL" : "NORMAL"', '"NORMAL" : "NORMAL"')],
           "setget-crash-power", "PowerLoss.*", {"SETGET_CRASH_SEEDS": "100"}),
    in_unit("weak_queue", "a queue or store that is weaker than required is taken", 1, "src/pipeline/pipeline_options.cpp",
            "if (found >= wanted) return {};", "return {};", "unit_pipeline", "Pipeline.*"),
    in_unit("weak_store", "a store that is weaker than the queue is taken", 1, "src/pipeline/worker.cpp",
            "options.require_durable_store && store < queue", "options.require_durable_store && store < queue && false",
            "unit_pipeline", "Worker.*"),
    in_unit("ack_unapplied", "what the store refused is acked", 1, ROUND,
            "  release_everything(work, error, to_blame);\n",
            "  for (std::size_t i = 0; i < work.entries.size(); ++i) {\n"
            "    Settlement ack;\n    ack.receipt = work.entries[i].receipt;\n    ack.action = SettleAction::kAck;\n"
            "    ack.outcome = Outcome::kApplied;\n    work.add(work.places[i], std::move(ack));\n  }\n",
            "unit_pipeline", "*Worker*"),
    # 2, 8, 10 in the embedded file
    in_kit("sqlite_lease", "a lease that has ended by the clock still decides", 8, "src/sqlite/queue_settle.cpp",
           "if (found == nullptr || found->until <= now) return false;", "if (found == nullptr) return false;", SQLITE_QUEUES),
    Mutant("sqlite_fused_lease", "a record is applied and acked without its lease", 8, "src/sqlite/store.cpp",
           [("!receipt || !leases.holds(*receipt)", "!receipt"),
            ("*leases.take(*receipt)", "leases.take_ended(*receipt).value_or(LeaseMember{.stamp = receipt->stamp})")],
           "conformance_test", SQLITE_RECORDS),
    in_kit("sqlite_ledger", "an outcome is not counted", 2, "src/sqlite/book.cpp",
           "++counters(db, queue).outcomes[static_cast<std::size_t>(entry.outcome)];", "", SQLITE_QUEUES),
    Mutant("ledger_apart", "outcomes and change log are written in a transaction after the one that acks", 2, "src/sqlite/engine.cpp",
           [("  book_->flush(db, txn.now());\n", ""),
            ('  db.run("COMMIT");\n', '  db.run("COMMIT");\n  db.run("BEGIN IMMEDIATE");\n  book_->flush(db, txn.now());\n  db.run("COMMIT");\n')],
           "setget-crash-power", "PowerLoss.*", {"SETGET_CRASH_SEEDS": "100"}),
    in_kit("sqlite_change", "a change is missing in the change log", 10, "src/sqlite/store_txn.cpp",
           "txn_.book().add_change(encode_change(entry), slot.stamp);", "", SQLITE_RECORDS),
    in_kit("sqlite_tombstone", "a tombstone is missing in the change log", 10, "src/sqlite/store_txn.cpp",
           "txn_.book().add_change(encode_change(entry), slot.stamp);",
           "if (!entry.tombstone) txn_.book().add_change(encode_change(entry), slot.stamp);", SQLITE_RECORDS),
    # 5: the payload is stored once
    in_unit("body_copied", "a record gets a copy of its message's body", 5, "src/sqlite/store_txn.cpp",
            "if (offered_ == 0) {", "taken_ = offered_ != 0;\n  if (offered_ != 0 || taken_ || offered_ == 0) {", "unit_sqlite", "SqliteLayout.*"),
    in_unit("body_per_key", "every key has a copy of the payload", 5, "src/sqlite/store_txn.cpp",
            '  db_.run("REPLACE INTO keys(',
            '  if (stored.row) {\n    db_.run("INSERT INTO log(stamp, queue, sum, body) SELECT ?1, 0, sum, body FROM log WHERE stamp=?2",\n'
            "            kFirstOwnRow + static_cast<std::int64_t>(++txn_.book().edit_meta().last_row), *stored.row);\n  }\n"
            '  db_.run("REPLACE INTO keys(', "unit_sqlite", "SqliteLayout.*"),
    # 7: TTL is resolved once
    in_unit("ttl_order", "an account's life is stronger than that of its flow", 7, TTL,
            "  offer(TtlRule::kAccountFlow,", "  offer(TtlRule::kAccount, scope.account != nullptr ? scope.account->ttl : none, "
            '[&] { return scope.account_path("ttl"); });\n  offer(TtlRule::kAccountFlow,', "ttl_cron_config_test", "Ttl*:Flows*"),
    in_unit("ttl_loosest", "the loosest bound clamps", 7, TTL,
            "!(upper ? longer(*found.ttl, *ttl) : longer(*ttl, *found.ttl))", "!(upper ? longer(*ttl, *found.ttl) : longer(*found.ttl, *ttl))",
            "ttl_cron_config_test", "Ttl*:Flows*"),
    in_unit("ttl_max", "a message's own life is not clamped", 7, TTL,
            "if (low.ttl && longer(*low.ttl, decision.ttl)) {", "if (message) return decision;\n  if (low.ttl && longer(*low.ttl, decision.ttl)) {",
            "ttl_cron_config_test", "Ttl*:Flows*"),
    in_unit("reapply_message", "a policy that is applied again changes lives that messages gave", 7, PIPELINE,
            "record.ttl_rule == TtlRule::kMessage || ", "", "unit_pipeline", "Pipeline.*"),
    in_unit("ttl_from_apply", "a life counts from when the message is applied", 7, "src/pipeline/worker_decision.cpp",
            "expires_at(time_of(entry.stamp), life.ttl)", "expires_at(context.now, life.ttl)", "unit_pipeline", "*Worker*:*Decision*:Pipeline.*"),
    # 12: bad input
    in_unit("keys_limit", "one key more than the limit passes", 12, VALIDATOR, "keys.size() > limits_.max_keys)",
            "keys.size() > limits_.max_keys + 1)", "validator_test"),
    in_unit("key_bytes_limit", "a key of one byte more than the limit passes", 12, VALIDATOR, "key.size() > limits_.max_key_bytes",
            "key.size() > limits_.max_key_bytes + 1", "validator_test"),
    in_unit("payload_limit", "a payload of the largest size is refused", 12, VALIDATOR, "command.payload.size() > limits_.max_payload",
            "command.payload.size() >= limits_.max_payload", "validator_test"),
    in_unit("attributes_limit", "attributes of the largest size are refused", 12, VALIDATOR, "bytes > limits_.max_attribute_bytes",
            "bytes >= limits_.max_attribute_bytes", "validator_test"),
    in_unit("name_limit", "a name of 65 bytes passes", 12, VALIDATOR, "text.size() <= 64", "text.size() <= 65", "validator_test"),
    in_unit("half_batch", "an operation that fails keeps what it had written", 12, "src/sqlite/engine.cpp",
            "void WriteTxn::end_savepoint(bool keep) {", "void WriteTxn::end_savepoint(bool keep) {\n  keep = true;", "unit_sqlite",
            "SqliteMigration.*:SqliteCommit.*"),
    # 13: time is injected
    in_unit("reader_wall", "readers look at the machine's clock", 13, "src/pipeline/reader.cpp",
            "const auto now = options_.clock->now();", "const auto now = system_clock()->now();", "unit_pipeline", "Reader*:Pipeline.*"),
    in_unit("worker_wall", "the worker looks at the machine's clock", 13, ROUND,
            "Work work(batch, fifo, options_.clock->now());", "Work work(batch, fifo, system_clock()->now());", "unit_pipeline", "*Worker*:Pipeline.*"),
    in_unit("ulid_chance", "fresh ids are not made of the injected chance", 13, "src/pipeline/ingress_prepare.cpp",
            "make_ulid(door.clock.now(), door.random)", "make_ulid(door.clock.now(), *system_random())", "unit_pipeline", "Ingress.*"),
    in_unit("ulid_wall", "fresh ids carry the machine's time", 13, "src/pipeline/ingress_prepare.cpp",
            "make_ulid(door.clock.now(), door.random)", "make_ulid(system_clock()->now(), door.random)", "unit_pipeline", "Ingress.*"),
    # 14: shutdown is bounded
    in_unit("stop_deadline", "the deadline of stop is not kept", 14, "src/pipeline/worker.cpp",
            "const bool quiet = state.changed.wait_until(lock, deadline.time(),",
            "const bool quiet = state.changed.wait_until(lock, Deadline::in(std::chrono::hours(1)).time(),", "unit_pipeline", "Worker.stop*"),
    in_unit("stop_keeps", "what was received and not tried is not given back", 14, "src/pipeline/worker.cpp",
            "for (auto batch = untried.rbegin(); batch != untried.rend(); ++batch) ", "for (auto batch = untried.rend(); batch != untried.rend(); ++batch) ",
            "unit_pipeline", "Worker.*"),
    in_unit("stop_door", "stop leaves those waiting who want to set", 14, PIPELINE, "state.ingress->close();", "", "unit_pipeline", "Pipeline.*"),
    in_unit("stop_subscriptions", "callbacks of subscriptions go on after stop", 14, PIPELINE,
            "const bool subscribed = state.subscriptions->stop(deadline);", "const bool subscribed = true;", "unit_pipeline", "Pipeline.*"),
    in_unit("stop_subscription_deadline", "a callback that hangs holds stop up", 14, "src/pipeline/subscriptions.cpp",
            "changed_.wait_until(lock, deadline.time(), [this] { return running_ == 0; })",
            "changed_.wait_until(lock, Deadline::in(std::chrono::hours(1)).time(), [this] { return running_ == 0; })",
            "unit_pipeline", "Pipeline.*"),
    # 15: formats are versioned
    in_unit("newer_command", "a command of a newer format is read", 15, "src/core/record.cpp", "if (*format != kCommandFormat) {",
            "if (*format < kCommandFormat) {", "unit_core"),
    Mutant("newer_checkpoint", "a checkpoint of a newer format is read", 15, "src/sqlite/archive_codec.cpp",
           [("*format > kCheckpointFormat", "false")],
           "unit_sqlite", "SqliteArchive.*"),
    in_unit("newer_file", "a file that needs a newer version is opened", 15, "src/sqlite/open.cpp",
            "if (reader > kFileFormat || writer > kFileFormat) {", "if (false) {", "unit_sqlite", "SqliteFile.*"),
    in_unit("newer_message", "a message of a newer format is a dead letter at once", 15, "src/pipeline/worker_decision.cpp",
            "if (newer) return retry(", "if (newer && false) return retry(", "unit_pipeline", "*Decision*"),
    # Redis: the key store
    in_unit("redis_token", "a step does not look whether an entry has changed since it was read", 3, COMMIT,
            "if redis.call('GETRANGE', key, 0, #bytes - 1) ~= bytes then return check end", "", "redis_faults", "*Writers_at_once*"),
    in_unit("redis_pointer_token", "a step does not look whether a key's pointer has changed since it was read", 3, COMMIT,
            "if redis.call('GET', key) ~= bytes then return check end", "", "redis_races", "*"),
    in_unit("redis_absent", "a step does not look whether an entry has come since", 3, COMMIT,
            "      return check\n    end\n  elseif", "    end\n  elseif", "redis_interleaved", "*writers*"),
    in_unit("redis_fresh_identity", "a new record does not look whether its identity is known", 3, FRESH,
            "replies[3].integer() != 0", "false", "redis_model", "*/one_part"),
    in_unit("redis_fresh_over", "a new record overwrites one that came since it looked", 3, FRESH,
            '.arg({value, identity.body.view()}).arg("NX")', '.arg({value, identity.body.view()}).arg("KEEPTTL")',
            "redis_races", "*"),
    in_unit("redis_fresh_claim", "a new record does not look whether its keys are taken", 3, FRESH, "refused[at] = true;", "(void)at;",
            "conformance_redis_test", "redis_key_store.*"),
    in_unit("redis_fresh_floor", "a new record below the floor is taken", 3, FRESH,
            "entry(piece.entries[at]).stamp < meta->floor", "false", "conformance_redis_test", "redis_key_store.*"),
    in_unit("redis_fresh_epoch", "a new record is written into another content than was known", 10, FRESH,
            "meta->identity != known->identity || !store_.coder_->has_seen(meta->identity, meta->generation)", "false",
            "redis_codec", "*not_used_for_new_records*"),
    in_unit("redis_fresh_log", "a new record is missing in the change log", 10, FRESH,
            'commands.add("RPUSH", 2 + piece.entries.size()).arg({head_, "l"});',
            'commands.add("RPUSH", 2 + piece.entries.size()).arg({head_, "elsewhere"});', "redis_model", "*log_rebuilds*/one_part"),
    in_unit("redis_fresh_bucket", "a new record is in no expiry bucket", 6, FRESH, "if (!one.expires_at) continue;", "continue;",
            "conformance_redis_test", "redis_key_store.*"),
    in_unit("redis_log", "a change is missing in the change log", 10, COMMIT,
            'if (!lines_.empty()) chunked("RPUSH"', 'if (lines_.size() > 1000) chunked("RPUSH"', "redis_model", "*log_rebuilds*"),
    in_unit("redis_epoch", "a step of one part does not look whether floor and epoch are what they were", 10, "src/redis/store_apply.cpp",
            "call.expect_meta(known.text);", "", "redis_other_content", "*/0"),
    in_unit("redis_epoch_parts", "a record on many parts does not look whether floor and epoch are what they were", 10, PHASES,
            "call.expect_meta(plan.meta->text);", "", "redis_other_content", "*/1"),
    in_unit("redis_floor_parts", "on many parts what is below the floor is taken", 3, PHASES_WORK,
            ".floor = request.ignore_floor ? 0 : floor", ".floor = Stamp{0}", "redis_model", "*key_store*/sixteen_parts"),
    in_unit("redis_commit_point", "a claim counts before its record has come", 4, LOOKUP,
            "if (claim.conditional ? identity->slot.stamp != claim.stamp : identity->reach < claim.stamp) continue;", "",
            "redis_crash", "*"),
    in_unit("redis_claims_ahead", "a record comes before its claims", 4, PHASES, "if (!claims_ahead) break;", "break;", "redis_crash", "*"),
    Mutant("redis_gap", "a reader does not look again where it met the middle of a step", 4, LOOKUP,
           [("if (!all_sure || (spread_ && keys_.size() > 1)) ask_keys(Stage::kAgain);", "")], "redis_faults", "*Writers_at_once*/1",
           {"SETGET_CRASH_ROUNDS": "300"}),
    in_unit("redis_told", "a record that has lost a key to another is not told", 4, OVERLAY_MODEL,
            "if (auto told = touch(ns, claim.id); !told) return told;", "", "redis_races", "RedisOvertaken.*:*/RedisOvertaken.*"),
    Mutant("redis_late_keys", "a key is final before the record that lost it knows", 4, PHASES,
           [("if (others_lose && !plan.keys_first && !same_key(row)) {", "if (others_lose && false) {")], "redis_crash", "*middle*/1",
           {"SETGET_CRASH_ROUNDS": "600"}),
    in_unit("redis_mark", "the mark of an erase by key comes after what it ends", 4, PHASES_WORK,
            "plan->look_again = c.kind == CommandKind::kEraseKey;", "plan->look_again = false;", "redis_crash", "*"),
    Mutant("redis_redelivery", "a redelivery does not finish what a dead writer left", 4, PHASES_WORK,
           [("      if (again) {\n        if (auto held = overlay.reconcile", "      if (false) {\n        if (auto held = overlay.reconcile")],
           "redis_interleaved", "*writers*/1"),
    in_unit("redis_marker", "a step whose answer was lost leaves no mark", 3, COMMIT, 'op("SET", shards_->name(shard_, "w:"',
            'op("SET", shards_->name(shard_, "v:"', "redis_lost_answers", "*"),
    in_unit("redis_unsure", "an attempt whose answer was lost is not asked after", 3, "src/redis/store_apply.cpp",
            "return reply->integer() == 1;", "return reply->integer() == 2;", "redis_lost_answers", "*"),
    in_unit("redis_reader_clock", "the reader's time is not asked", 6, LOOKUP, "(slot.expires_at && *slot.expires_at <= now_)", "(false)",
            "conformance_redis_test", REDIS_RECORDS),
    Mutant("redis_evict_touched", "a record that was touched is evicted at its old expiry", 6, RECLAIM,
           [("if (!expires_at || *expires_at > cutoff) continue;", "if (!expires_at) continue;"), (" || *slot->expires_at > cutoff) continue;", ") continue;")],
           "conformance_redis_test", REDIS_RECORDS),
    in_unit("redis_cursor_floor", "what a cursor has not seen is forgotten", 10, RECLAIM,
            "floor = std::min(floor, line->stamp);", "(void)line;", "conformance_redis_test", REDIS_RECORDS),
    in_unit("redis_cursor_trim", "the log is trimmed before a cursor", 10, RECLAIM, "if (passed) count = std::min(count, *passed - first);", "",
            "conformance_redis_test", REDIS_RECORDS),
    in_unit("redis_trim_guard", "what a cursor that was just opened has to read is trimmed", 10, RECLAIM, "tonumber(position) < base", "tonumber(position) < 0",
            "redis_races", "*opened_while*"),
    in_unit("redis_piece_base", "a reader does not look whether the log was trimmed while it asked", 10, "src/redis/store_log.cpp",
            "if (number_of(reply.elements()[0].text()) != state.bases[shard]) return std::optional<std::vector<LogPiece>>();", "", "redis_races",
            "*trimmed_between_its_questions*"),
    in_unit("redis_remembered", "a key's claims are forgotten above the floor", 3, OVERLAY, "remembered_for(*entry.now.key) < floor", "true",
            "redis_races", "*not_forgotten*"),
    in_unit("redis_writes", "a key's entry does not say how often it was written", 4, "src/redis/store_entry.cpp",
            "before->writes + (now.identity ? 0 : 1)", "before->writes", "redis_races", "*ToAndFro*"),
    in_unit("redis_one_moment", "a record is judged by an entry of its key that was read before it", 4, OVERLAY,
            "mixed_ = mixed_ || !same;", "", "redis_interleaved", "*writers*/1"),
    in_unit("redis_record_after", "a key is said to lead nowhere by a record that was read before it", 4, OVERLAY,
            "if (!careful_ || id == key) return {};", "return {};", "redis_interleaved", "*writers*/1"),
    in_unit("redis_displaced", "a record that claims in between had displaced is not told", 4, OVERLAY_MODEL,
            "if (careful_) displaced_.insert(qualified(ns, holder));", "", "redis_interleaved", "*writers*/1"),
    in_unit("redis_evict_look", "keys of an expired record are given up though another version has come", 4, PHASES,
            "only_looks = true;", "", "redis_interleaved", "*writers*/1"),
    in_unit("history_own_claim", "a key is taken from a later version by an earlier one of the same record", 4, ARCHIVE_HISTORY,
            ".identity = identity,", ".identity = claims.size(),", "unit_memory", "HistoryOrder.*"),
    in_unit("history_stale_claim", "of the past, a key that a stale set had claimed is taken from its record", 4, ARCHIVE_HISTORY,
            ".open = !state.until,", ".open = false,", "unit_memory", "HistoryOrder.*"),
    in_unit("redis_line_first", "a record is written before its line of the change log", 10, COMMIT,
            "std::ranges::stable_sort(whole.ops_, {}, rank);", "", "redis_faults", "*RedisFaults*change_log*"),
    in_unit("redis_fresh_no_log", "a new record does not look whether there is a change log to be told in", 10, FRESH,
            'commands.add("LLEN", 2).arg({head_, "l"});', 'commands.add("EXISTS", 2).arg({head_, "m"});', "redis_faults", "*RedisFaults*change_log*/0"),
    in_unit("redis_wait_end", "a wait for changes waits for a server that says nothing", 11, "src/redis/store_log.cpp",
            "auto last = ends(latest);", "auto last = ends(Deadline::in(Milliseconds(30'000)));", "redis_races", "*wait_for_changes*"),
    in_unit("redis_deadline", "a verb waits as long as it likes for a server that says nothing", 11, "src/redis/store_log.cpp",
            "const auto deadline = request.deadline;", "const auto deadline = Deadline::in(Milliseconds(30'000));", "redis_deadlines",
            "*no_answer*/0"),
    # Redis: the cache
    in_unit("cache_lost", "what came over a connection that is gone is answered", 6, CACHE,
            "if (part.generation.load(std::memory_order_acquire) != seen.generation || (seen.generation & 1) != 0) return false;", "",
            "redis_cache", "Cache.*:ReadCache*"),
    in_unit("cache_silence", "a server that is silent is answered for", 6, CACHE,
            "if (now >= part.lease_end.load(std::memory_order_acquire)) return false;", "", "redis_cache", "Cache.*:ReadCache.*"),
    in_unit("cache_parts", "what a change of this process ended is answered by its other keys, with several parts", 3, "src/redis/store_phases.cpp",
            "if (!plan->calls.empty()) forget_answers(*plan);", "(void)plan;", "redis_cache", "ReadCache.a_store*"),
    in_unit("cache_changed", "what has changed is answered", 3, CACHE, "if (!unchanged(seen)) return false;", "", "redis_cache", "Cache.*:ReadCache.*"),
    in_unit("cache_raced", "what changed while it was read is kept", 3, CACHE,
            "if (!unchanged(seen) || (seen.generation & 1) != 0 ||", "if ((seen.generation & 1) != 0 ||", "redis_cache", "Cache.*:ReadCache.*"),
    in_unit("cache_expiry", "the cache answers with expired records", 6, CACHE, "(!record || !record->expired(now)) && answer.now <= now",
            "answer.now <= now", "redis_cache", "Cache.*:ReadCache.*"),
    in_unit("cache_own", "a store does not see its own sets at once", 3, "src/redis/store_cached.cpp",
            "if (c.kind != CommandKind::kEraseKey) cache_->changed(key_hash(c.ns, c.id));\n    for (const auto key : c.keys) "
            "cache_->changed(key_hash(c.ns, key));", "(void)c;", "redis_cache", "ReadCache.*"),
    # Redis: the queue
    in_unit("redis_dedup", "a deduplication id is accepted twice", 2, SEND, "if tonumber(till) > now and (other", "if false and (other",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_dedup_parts", "a deduplication id is accepted twice where it comes with and without a group", 2, "src/redis/queue_send.cpp",
            "if (!deduplicates || !queue_->fifo()) return", "if (!deduplicates || !grouped) return", "redis_queue_parts", "*dedup*"),
    in_unit("redis_pin", "a deduplication id is accepted twice where it comes with two groups", 2, "src/redis/queue_send.cpp",
            "    return pinned(i, part);", "    return std::optional(part);", "redis_queue_parts", "*dedup*"),
    in_unit("redis_group_order", "a message that is sent overtakes those of its group that wait", 3, SEND,
            "elseif simple[group] or complex[group] or later then", "elseif later then", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_receives", "a receive is not counted", 9, LEASE, "fmt('%05d', math.min(note[1] + 1, 99999))", "fmt('%05d', note[1])",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_poison", "a message is received for ever", 9, LEASE, "(poison > 0 and note[1] >= poison)", "false",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_retention", "a message that outlived its retention is received", 9, LEASE, "if outlived or (poison", "if (poison",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_token_ack", "an old receipt settles the later lease", 8, LEASE,
            "sub(head, 1, 16) == token and", "",
            "conformance_redis_queue", REDIS_QUEUES),
    Mutant("redis_lease_end", "a lease that has ended by the clock still decides", 8, LEASE,
           [("if wake(now, 1000) then return 'again' end\nmay_write()\nlocal nows", "local nows"), ("sub(head, 17, 31) > nows then", "true then")],
           "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_twice", "a message that a batch names twice is settled twice", 2, LEASE,
            "if held and not (seen and seen[name]) then", "if held then", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_release_token", "an old receipt releases the later lease", 8, LEASE,
            "if not (lease and sub(lease, 1, 16) == token and", "if not (lease and", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_ledger", "an outcome is not counted", 2, LEASE, "call('HINCRBY', M, 'o' .. outcome, done)", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_plain_left", "an acknowledgement of a whole receive settles again what has left it", 2, LEASE,
            "or tonumber(call('HGET', T, token .. '#') or 0) ~= #names then", "then", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_plain_notes", "an acknowledgement of a whole receive forgets earlier receives and redrives", 9, LEASE,
            " and call('EXISTS', N, U) == 0", "", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_plain_ledger", "the outcome of a whole receive is not counted", 2, LEASE,
            "call('HINCRBY', M, 'o' .. outcome, count)", "", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_part", "an acknowledgement of some of a frame is one of all", 2, LEASE,
            "if held and n == frame.first and n + frame.count - 1 <= last then", "if held and n == frame.first then",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_twice", "a frame that a batch names twice is settled twice", 2, LEASE,
            "        frame.done = true\n        entries", "        entries", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_ledger", "the outcome of a frame is not counted", 2, LEASE, "call('HINCRBY', M, 'o' .. outcome, whole)", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_outcome", "the outcome of a frame is not written", 2, LEASE,
            "  if whole == 0 then return names, places end\n  mark_row(row, length, outcome, reasons, now)\n",
            "  if whole == 0 then return names, places end\n", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_in_flight", "what a frame has in flight is counted for ever", 11, LEASE, "call('HINCRBY', M, 'fl', #entries - whole)", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_leased", "a frame in flight counts as one message", 11, LEASE, "if extra > 0 then call('HINCRBY', M, 'fl', extra) end", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_room", "a frame is received whole though the bytes do not suffice", 11, LEASE, "if not first and bytes + size > room then",
            "if false then", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_stamps", "loosened messages have the stamp of the first", 3, FRAMES,
            "header_of(frame.stamp + k * frame.step, record)", "header_of(frame.stamp, record)", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_loose", "loosened messages are no longer leased", 8, FRAMES, "  call('HSET', L, unpack(leases))\n", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_members", "the leases of loosened messages never end", 8, FRAMES,
            "  call('HSET', T, token, cmsgpack.pack(members))\nend", "end", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_ends", "the lease of a frame never ends", 8, FRAMES, "      loosen(frame)\n      loosened = true", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_outlived", "a frame outlives its retention", 9, "src/redis/queue_scripts_admin.cpp",
            "if frame and floor(frame.stamp / 2048) + keep <= now then", "if false then", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_delay", "a batch is received before its delay is over", 8, SEND, "if fifo or delay ~= '0' then", "if fifo then",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_oldest", "what waits in a frame is not the oldest", 10, "src/redis/queue_scripts_admin.cpp",
            " elseif frame then stamp = frame.stamp + (low - frame.first) * frame.step end", " end", "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_frame_again", "a receive whose answer was lost gives no frames", 2, LEASE, "local members = members_of(token)",
            "local members = call('HGET', T, token) and cmsgpack.unpack(call('HGET', T, token))", "redis_queue_faults", "*"),
    in_unit("redis_in_flight", "max_in_flight is not kept", 11, LEASE, "if max > left then max = left end", "",
            "conformance_redis_queue", REDIS_QUEUES),
    in_unit("redis_settled_once", "a settlement whose answer was lost is lost with it", 2, LEASE, "remember(lane, number, now, answer)", "",
            "redis_queue_faults", "*"),
    in_unit("redis_sent_once", "a send whose answer was lost is sent twice", 2, SEND, "remember(lane, number, now, out)", "",
            "redis_queue_faults", "*"),
    in_unit("redis_received_once", "a receive whose answer was lost leases others", 2, LEASE, "if ARGV[7] == '1' then", "if false then",
            "redis_queue_faults", "*"),
    in_unit("redis_restamped", "what is sent after a redrive gets a stamp before it", 3, "src/redis/queue_dead.cpp",
            "saw(static_cast<Stamp>(fields[2].integer()));", "", "redis_queue_parts", "*restamps*"),
    in_unit("redis_stamp_back", "stamps fall when the clock steps back", 3, SEND,
            "  call('SET', KEYS[3], num(stamp))\n", "", "conformance_redis_queue", REDIS_QUEUES),
    # The archive on MongoDB
    in_unit("mongo_merge", "an older version overwrites a newer one in the archive", 10, MONGO_DOCUMENT, '.add("$max", raised)',
            '.add("$set", raised)', "mongo_archive", "*mixed_bulk*:*whichever_comes_first*"),
    in_unit("mongo_turn", "a version that the archive has is overwritten by the same", 10, MONGO, "  return next;\n", "  return 0;\n",
            "mongo_archive", "*mixed_bulk*"),
    in_unit("mongo_mixed", "what was older counts as written where other documents of its bulk were", 10, MONGO,
            "if (rose != 0 && static_cast<std::size_t>(rose) != sent.size()) return look_at(sent);", "", "mongo_archive", "*mixed_bulk*"),
    in_unit("mongo_tombstone", "a tombstone takes the keys of its record away", 10, MONGO_DOCUMENT,
            'to.add("end", document.end);', 'to.add("end", document.end).add("state", document.state);',
            "mongo_archive", "*whichever_comes_first*"),
    in_unit("mongo_late", "a record that comes after its tombstone gives it no keys where it is looked at first", 10, MONGO,
            " || (!work.document.tombstone && below(state))", "", "mongo_archive", "*whoever_writes_the_next*"),
    in_unit("mongo_pieces", "pieces of the version before stay", 10, MONGO, "if (!*any) {", "if (true) {", "mongo_archive",
            "*whoever_writes_the_next*"),
    in_unit("mongo_no_pieces", "whether there are pieces is asked for each bulk", 10, MONGO, "now < writer_.no_pieces_until_.load(std::memory_order_relaxed)",
            "false", "mongo_archive", "*without_a_look*"),
    in_unit("mongo_purge", "what is to be purged is not noted for other processes", 10, MONGO, "if (earliest >= known) return {};",
            "return {};", "mongo_archive", "*another_process_purges*"),
    in_unit("mongo_ended", "a record that comes after its tombstone stays gone", 10, MONGO_DOCUMENT,
            "if (out.end_mark.view() > out.state_mark.view())", "if (!out.end_mark.view().empty())", "mongo_archive", "*tombstones_of_a_bulk*"),
    in_unit("mongo_old_end", "a tombstone that was older counts as written where it is the first", 10, MONGO,
            "rose != 0 ? work->document.tombstone : work->unknown", "rose == 0 && work->unknown", "mongo_archive", "*tombstones_of_a_bulk*"),
    in_unit("unread_text", "a set whose payload is a name in the wrong place is accepted, without what follows", 12, "src/gateway/envelope.cpp",
            "        if (simdjson::ondemand::raw_json_string read; raw.starts_with('\"')) need(item.get_raw_json_string().get(read));\n", "",
            "gateway_test", "*syntax_errors*"),
    in_unit("mongo_layout", "documents of another layout are read", 10, MONGO_DOCUMENT, "if (format == kFormat) return {};",
            "if (format <= kFormat) return {};", "mongo_archive", "*another_layout*"),
    in_unit("mongo_keys", "a verification believes the keys by which a document is found", 10, MONGO_DOCUMENT,
            "digest_of(*stored.held_keys)) :", "digest_of_keys(KeyList({\"k/5\", \"l/5\"}), {})) :", "mongo_archive", "*verify_finds*:-*ferretdb"),
    in_unit("mongo_rule", "a verification does not look by which rule a record expires", 10, MONGO_DOCUMENT,
            ".ttl_rule = stored.meta.ttl_rule,", "", "mongo_archive", "*verify_finds_what*:-*ferretdb"),
    in_kit("memory_content", "what was digested of other bytes is remembered for those that are there", 10, "src/memory/tables.cpp",
           "    if (row.encoded.data() != at->second.encoded.data()) row.content.reset();\n", "", "memory_key_store.*"),
    in_kit("sqlite_digest_terms", "what only concerned its set is part of a record's digest", 10, "src/sqlite/store_read.cpp",
           "if (head.size() + payload.size() == body.size() && body.starts_with(head.view()))", "if (head.size() <= body.size())",
           SQLITE_RECORDS),
    in_unit("behind_one", "a run has one batch under way whatever the archive does", 10, "src/pipeline/write_behind.cpp",
            "(ahead_.waits() ? kMost : 1)", "1", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_many", "a run has three batches under way", 10, "src/pipeline/write_behind.cpp",
            "(ahead_.waits() ? kMost : 1)", "(ahead_.waits() ? kMost + 1 : 1)",
            "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_names", "two batches under way have an identity in common", 10, "src/pipeline/write_behind.cpp",
            "other.names.contains(name)", "other.names.contains(name + 1)", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_bytes", "two batches are under way whatever they weigh", 10, "src/pipeline/write_behind.cpp", "return bytes <= most_bytes_;",
            "return true;", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_looks", "what the archive knows of a record is asked before what was sent is there", 10, "src/pipeline/archiver.cpp",
            "    if (auto settled = settle_all(); !settled) return std::move(settled).error();\n    if (auto on", "    if (auto on",
            "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_seldom", "what is written is confirmed after each batch", 10, LEDGER,
            "if (!unconfirmed_ || Deadline::Steady::now() - progress_confirmed_at_ < kUnconfirmed) return {};", "if (!unconfirmed_) return {};",
            "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_never", "what is written is confirmed at the end alone", 10, LEDGER,
            "if (!unconfirmed_ || Deadline::Steady::now() - progress_confirmed_at_ < kUnconfirmed) return {};", "if (!unconfirmed_ || true) return {};",
            "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_cursor", "a run that fails leaves the store's cursor where it was", 10, LEDGER,
            "&& unconfirmed_) (void)commit(until);", "&& false) (void)commit(until);", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_confirmed", "what was written before the store failed is not confirmed", 10, "src/pipeline/archiver.cpp",
            "    if (auto settled = settle_all(); !settled) return settled;\n    return error;", "    return error;", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_end", "a run that succeeds leaves the store's cursor where it was", 10, LEDGER,
            "    if (auto done = commit(turn_.soon()); !done) return done;\n  }\n", "  }\n", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_twice", "what is written last is confirmed before the end of the run, and by it", 10, "src/pipeline/archiver.cpp",
            "!settled) return settled;\n    }\n    return {};\n  }\n\n  // What was read", "!settled) return settled;\n    }\n"
            "    return ledger_.confirm();\n  }\n\n  // What was read", "unit_pipeline", "WriteBehind.*"),
    in_unit("behind_lost", "positions of a log that was lost are confirmed when reading has begun again", 10, "src/pipeline/archiver.cpp",
            "    behind_.forget_places();\n", "", "unit_pipeline", "WriteBehind.*"),
    in_unit("copy_end", "a copy of everything that fails at its end begins anew", 10, "src/pipeline/archiver.cpp",
            "      if (batch.scanned_to->empty()) {", "      checkpoint_.scan_cursor = *batch.scanned_to;\n      if (batch.scanned_to->empty()) {",
            "unit_pipeline", "ArchiverFaults.*"),
    in_unit("quarantine_damage", "a damaged record that was refused before ends every run", 10, "src/pipeline/archiver.cpp",
            "if (!current && detail::is_damage(current.error())) {", "if (false) {", "unit_pipeline", "ArchiverFaults.*"),
    in_unit("run_throws", "what is thrown leaves a run with its lease", 10, "src/pipeline/archiver.cpp",
            "    } catch (const std::exception& thrown) {\n", "    } catch (const std::exception& thrown) {\n      throw;\n", "unit_pipeline", "ArchiverFaults.*"),
    in_unit("ledger_success", "a run that failed at its end is noted as a success", 10, LEDGER,
            "  checkpoint.last_success_at = succeeded_before_;\n", "", "unit_pipeline", "ArchiverFaults.*"),
    in_unit("ledger_committed", "what the store was told is noted before it was told", 10, LEDGER,
            "    auto done =\n", "    committed_ = checkpoint.position;\n    auto done =\n", "unit_pipeline", "ArchiverFaults.*"),
    in_unit("history_cancel", "a run that was cancelled moves all of the outbox first", 10, "src/pipeline/history.cpp",
            "    if (auto on = go_on(); !on) return std::move(on).error();\n    auto batch", "    auto batch", "unit_pipeline", "History.*"),
    in_unit("redis_lost_to", "a place of a log that was lost is confirmed once the new one reaches it", 10, "src/redis/store_cursors.cpp",
            "} else if (position <= lost_to_) {", "} else if (false) {", "redis_server_faults", "Parts/ChangeLogFaults.*"),
    in_unit("behind_pace", "a run forgets how the archive took what the run before wrote", 10, "src/pipeline/archiver.cpp",
            "state_.pace = ahead_.pace();", "{}", "unit_pipeline", "WriteBehind.*"),
    in_unit("mongo_read_decides", "a write whose answer was lost is confirmed by a read, which may be of a server that dies", 10, "src/mongo/writer.cpp",
            "if (rises || what == Look::kForPieces) {", "if (rises) {", "mongo_faults", "*only_once_a_server_has_said_so*"),
    in_unit("verify_gone", "a repair lets the store win where what it calls gone is older than the archive's", 10, "src/pipeline/verify.cpp",
            "    detail::fill_in(candidate.store, candidate.version, candidate.revision);\n", "", "unit_pipeline", "Verify.*"),
    in_unit("verify_erased", "a repair brings back what the archive knows as erased later", 10, "src/pipeline/verify.cpp",
            "    detail::fill_in(candidate.archive, candidate.archive_version, candidate.archive_revision);\n", "", "unit_pipeline", "Verify.*"),
    in_unit("ends_taken", "what ended stays where the archive refuses its tombstone", 10, "src/pipeline/archive_quarantine.cpp",
            "    if (auto gone = take_away(entries[i]); !gone) return gone;\n", "", "unit_pipeline", "Archiver.*tak*"),
    in_unit("ends_newer", "a refused tombstone takes away what is newer", 10, "src/pipeline/archive_quarantine.cpp",
            "if (!there->record || std::pair(there->record->version, there->record->revision) > std::pair(tombstone.version, tombstone.revision)) {",
            "if (!there->record) {", "unit_pipeline", "Archiver.takes*"),
    in_unit("ends_again", "an end that came early, and was refused, is not tried again", 10, "src/pipeline/archive_quarantine.cpp",
            "const bool ends = entry.tombstone || entry.record.expired(now);", "const bool ends = entry.tombstone;", "unit_pipeline", "Archiver.tries*"),
    in_unit("outbox_rises", "a damaged position confirms all that is behind it", 10, "src/redis/store_outbox.cpp",
            "const bool too_high = state && behind", "const bool too_high = false && behind", "redis_bulk", "*states_of_histories*"),
    in_unit("redrive_lost", "a letter without its row goes back into the queue", 10, "src/sqlite/queue_dead.cpp",
            "  const auto group = find_group(db, letter.stamp);\n  if (!group) return false;\n",
            "  auto group = find_group(db, letter.stamp);\n  if (!group) group.emplace();\n", "unit_sqlite", "SqliteDamagedRow.that_is_lost_stays*"),
    in_unit("mongo_foreign", "a run never ends over due documents of others", 10, MONGO_ARCHIVE, 'filter.add("record.purge_at", due).add("_id", any_text());',
            'filter.add("record.purge_at", due);', "mongo_archive", "MongoShared/*:*MongoShared*"),
    in_unit("restore_stamps", "a restore over live data is later than its beginning", 6, "src/pipeline/restore.cpp",
            "    last_stamp_ = std::min(last_stamp_ + 1, first_stamp_ + kCounters - 1);\n", "    (void)kCounters;\n    ++last_stamp_;\n", "unit_pipeline", "Restore.*"),
    in_unit("mongo_past_hidden", "a restore of a moment brings back what had been erased, where its end was not written", 10, "src/mongo/history_read.cpp",
            'filter.add("since", unless_later(request.at)).add("until", unless_by_then(request.at));\n  const auto limit',
            'Document none_of;\n  none_of.add("$ne", static_cast<std::int32_t>(Kind::kTombstone));\n  filter.add("kind", none_of);\n'
            '  filter.add("since", unless_later(request.at)).add("until", unless_by_then(request.at));\n  const auto limit', "mongo_archive",
            "*a_scan_sees_no_state_behind*"),
    in_unit("sqlite_digest_checked", "a digest is made of a body that is not what was written", 10, "src/sqlite/store_read.cpp",
            "const auto digest = checked_digest(body, row.integer(0));", "const auto digest = digest_of(body);", "unit_sqlite", "SqliteDigest.*"),
    in_kit("sqlite_content_of_set", "what only concerned its set is part of the digest that is kept of a record", 10, "src/sqlite/store_txn.cpp",
           ".content = detail::content_of(entry)", ".content = digest_of(entry.encoded.view())", SQLITE_RECORDS),
    in_unit("sqlite_content_kept", "a touch forgets the digest of the record", 10, "src/sqlite/store_txn.cpp",
            "      ident.content = stored->content;\n", "", "unit_sqlite", "SqliteDigest.*"),
    in_unit("sqlite_content_deep", "a deep verification believes the digest that is kept", 10, "src/sqlite/store_read.cpp",
            "ident.content && !request.deep.takes(hash)", "ident.content", "unit_sqlite", "SqliteDigest.*:SqliteDamagedRow.*"),
    in_unit("sqlite_content_damaged", "one damaged body leaves a verification without digests", 10, "src/sqlite/store_read.cpp",
            "if (!is_damage(failed.error())) throw;\n    // Its range", "throw;\n    // Its range", "unit_sqlite", "SqliteDigest.*"),
    in_unit("sqlite_content_doctor", "doctor does not look at the digests that are kept", 10, "src/sqlite/cross_check.cpp",
            "if (ident.content && *ident.content != content_digest(command))", "if (false)", "unit_sqlite", "SqliteDoctor.*"),
    in_unit("mongo_no_stamp", "a state that does not say since when its keys lead to it is whole", 10, MONGO_DOCUMENT,
            " || !out.stamped", "", "mongo_archive", "*Damage*:-*ferretdb"),
    in_unit("mongo_sealed", "a digest does not look of which layout a state is", 10, MONGO_DOCUMENT, "if (out.sealed_format != kFormat)",
            "if (false)", "mongo_archive", "*another_layout*"),
    in_unit("mongo_add_up", "what one of two threads has seen is left out of a digest", 10, "src/mongo/digest.cpp",
            "detail::add_part(ranges[i], there.ranges()[i]);", "", "mongo_archive", "*verify_finds_what*:-*ferretdb"),
    in_unit("beside_error", "what is wrong with a document is not told where it is looked at beside", 10, "src/mongo/beside.cpp",
            "    if (!looked) failed_ = std::move(looked).error();\n", "", "unit_mongo", "MongoBeside.*"),
    in_unit("beside_waits", "who gives answers goes on without end while they are looked at", 10, "src/mongo/beside.cpp",
            "waiting_.size() < kWaiting && ", "", "unit_mongo", "MongoBeside.*"),
    in_unit("beside_weighs", "answers wait whatever they weigh", 10, "src/mongo/beside.cpp",
            "bytes_ + bytes <= kBytes", "true", "unit_mongo", "MongoBeside.*"),
    in_unit("beside_rest", "answers that wait at the end are not looked at", 10, "src/mongo/beside.cpp",
            "if (waiting_.empty()) return;", "if (ended_) return;", "unit_mongo", "MongoBeside.*"),
    in_unit("query_empty", "an answer that has no documents is one of none", 10, "src/mongo/answers.cpp",
            "if (!documents) return Error(ErrorCode::kUnavailable, \"the server's answer to a query has no documents\");",
            "if (!documents) return {};", "mongo_faults", "MongoScripted.*"),
    in_unit("query_session", "a query does not go on in its session", 10, "src/mongo/answers.cpp",
            "if (session_ && !", "if (false && !", "mongo_faults", "MongoScripted.*"),
    in_unit("query_kept", "a query that is given up stays with the server", 10, "src/mongo/answers.cpp",
            "if (cursor_ == 0) return;", "return;", "mongo_faults", "MongoScripted.*"),
    in_unit("query_dropped", "a query that the server dropped ends the verification", 10, "src/mongo/errors.cpp",
            "Meaning{43, ErrorCode::kUnavailable", "Meaning{43, ErrorCode::kInternal", "mongo_faults", "MongoScripted.*"),
    in_unit("recalled_bytes", "a restored set has the bytes of its record, without its life and its number", 4, "src/pipeline/recalled_entry.cpp",
            "!entry.command.ttl && !entry.command.version && !encoded.empty()", "!encoded.empty()", "unit_pipeline", "Restore.*"),
    in_unit("pages_ahead_bytes", "pages are read ahead without end of their bytes", 11, "src/pipeline/pages_ahead.cpp",
            " && bytes_ < max_bytes_", "", "unit_pipeline", "PagesAhead.*"),
    in_unit("later_damage", "a record that turns out damaged once it is made ends a restore", 2, "src/pipeline/restore.cpp",
            "if (!detail::is_damage(record.error())) return std::move(record).error();", "return std::move(record).error();", "mongo_archive",
            "*Damage*:-*ferretdb"),
    in_unit("mongo_last_page", "a scan of documents ends with its first full page", 10, "src/mongo/reader.cpp",
            "Result<bool>(documents.may_go_on())", "Result<bool>(false)", "conformance_mongo_test", "*a_scan_gives*:-*ferretdb"),
    in_unit("mongo_lost_keys", "a document gives back keys that its record has lost, or lacks some", 10, MONGO_DOCUMENT,
            "mixed(bytes, digest_of_keys(decoded.keys, stored.meta.lost_keys))", "mixed(bytes, digest_of(stored.held_keys.value_or(std::string())))",
            "unit_mongo", "MongoDocument.*"),
    in_unit("mongo_later", "what a later version wrote is taken for damaged", 10, MONGO_DOCUMENT, "return whole ? std::move(record) :", "return false ? std::move(record) :",
            "unit_mongo", "MongoDocument.*"),
    in_unit("mongo_parts", "a document's bytes may be of another version than its state", 10, MONGO_DOCUMENT,
            "if (order_in(stored.record_mark.view()) != order_in(stored.mark().view()))", "if (false)", "mongo_archive", "*verify_finds*:-*ferretdb"),
    in_unit("mongo_seen", "a deep verification believes the digest of what it did not copy", 10, MONGO_DOCUMENT,
            "digest_of({stored.encoded, stored.seen})", "mixed(stored.digest.value_or(Digest{}), digest_of(stored.held_keys.value_or(std::string())))",
            "unit_mongo", "MongoDocument.*"),
    in_unit("mongo_ns", "a verification passes over names by which a document is found in another namespace", 10, MONGO_DOCUMENT,
            "if (ours) out.held_keys", "out.held_keys", "mongo_archive", "*verify_finds_what*:-*ferretdb"),
    in_unit("mongo_marks", "a later write of one version comes before the first", 10, MONGO_NAMES, " ^ std::uint64_t{1} << 63", "",
            "unit_mongo", "MongoNames.*"),
    in_unit("mongo_names", "a document's name is taken for that of another identity", 10, MONGO_NAMES,
            "return identity_hash(into.ns, into.id) == *hash;", "return true;", "unit_mongo", "MongoNames.*"),
    in_unit("redis_looks", "each command asks the kernel about connections that nobody uses", 11, "src/redis/pool.cpp",
            "if (now < next_look_) return;", "if (false) return;", "redis_client", "*IdleLooks*"),
    in_unit("redis_cached_looks", "with the cache on, another program's value in a get of several keys is a record that is missing", 11,
            "src/redis/store_cached.cpp", "if (looks.empty()) return", "if (true) return", "redis_cache", "ReadCache.what_another*"),
    in_unit("redis_cached_refusal", "an error about one key throws away what is cached of its part", 11, "src/redis/store_cached.cpp",
            "if (trouble_of(error) == Trouble::kWrongType) return", "if (false) return", "redis_cache", "ReadCache.what_another*"),
    in_unit("lost_claim", "a key of which nothing is known any more was taken by another record", 10, MODEL,
            "return std::ranges::find(*listers, id) != listers->end();", "return true;", "redis_interleaved", "*lost_meanwhile*/1"),
    in_kit("forgotten_claim", "a key whose taker was forgotten was not taken", 10, MODEL,
           "return std::ranges::find(*listers, id) != listers->end();", "return false;", SQLITE_RECORDS),
    # What is damaged in a store
    in_unit("redis_followers", "who follows the change log is stopped by a record that is damaged", 10, "src/redis/store_log.cpp",
            "    if (!change && is_damage(change.error())) {", "    if (false) {", "redis_bulk", "*RedisDamaged*"),
    in_unit("redis_lists", "a list ends at a record that is damaged", 10, "src/redis/store_read.cpp",
            "    if (!record && is_damage(record.error())) {\n      // The others of the list", "    if (false) {\n      // The others of the list", "redis_bulk",
            "*RedisDamaged*"),
    in_unit("redis_list_bytes", "a page of a list holds as many bytes as its records have", 10, "src/redis/store_read.cpp",
            "return bytes_ >= kListPageBytes;", "return false;", "conformance_redis_test", "redis_key_store.a_page_of_a_list*"),
    in_unit("redis_garbage", "what can never be forgotten stands before all that can be", 10, RECLAIM,
            'RedisCommand("ZREM").key(shards_->name(shards_->of(ns, bytes), "g"))', 'RedisCommand("ZSCORE").key(shards_->name(shards_->of(ns, bytes), "g"))',
            "redis_bulk", "*RedisDamaged*"),
    in_unit("redis_pieces", "all that a batch concerns comes in one reply, however much it is", 10, "src/redis/store.cpp",
            "return load_together(names, kPieceNames, deadline);", "return load_together(names, names.size(), deadline);", "redis_bulk", "*Large*"),
    in_unit("redis_indexes", "an index of listed records stays when it holds none", 10, COMMIT,
            "if redis.call('EXISTS', key) == 0 then redis.call('SREM'", "if false then redis.call('SREM'", "redis_bulk", "*index*"),
    in_unit("redis_dictionary_places", "a dictionary lies on one master of a cluster only", 10, "src/redis/dictionaries.cpp",
            "if (other == part) return", "if (true) return", "redis_codec", "*lost*"),
    in_unit("sqlite_scan_damage", "a scan ends at a record that is damaged", 10, "src/sqlite/store_read.cpp",
            "if (!request.over_damaged || !is_damage(failed.error())) throw;", "if (!is_damage(failed.error()) || true) throw;", "unit_sqlite",
            "SqliteDamagedRow.*"),
    in_unit("copy_damage", "a first copy ends at a record that is damaged", 10, ARCHIVER,
            ".deadline = turn_.deadline(), .over_damaged = true});", ".deadline = turn_.deadline()});", "unit_sqlite", "SqliteDamagedRow.*"),
    in_unit("restore_damage", "a restore ends at a record that is damaged in the store", 10, "src/pipeline/restore.cpp",
            "    return Lookup{.status = Lookup::Status::kGone, .record = {}};", "    return found;", "unit_sqlite", "SqliteDamagedRow.*"),
    in_unit("mongo_damage", "a scan ends at what is damaged", 10, MONGO_READER, "return request.over_damaged && is_damage", "return false && is_damage",
            "mongo_archive", "*damaged*"),
    in_unit("mongo_damaged_pieces", "a scan gives a line without its record where pieces are missing", 10, MONGO_READER,
            "  std::erase_if(page.items, [](const Summary& item) { return !item.tombstone && !item.record && !item.record_later; });\n", "", "mongo_archive", "*damaged*"),
    in_unit("mongo_strays", "a scan does not get past what is none of the archive's", 10, MONGO_CURSORS, ": kNameAsItIs + name;",
            ": detail::cursor_before(0);", "mongo_archive", "*damaged*"),
    in_unit("schema_sole", "what was fused of several objects is read as one that was not", 7, "src/validator/schema_eval.cpp",
            "return of.object->simple ? simple_object<false>(*of.object, at) : object", "return object", "json_schema_test", "RandomSchemas.*"),
    in_unit("schema_digits", "digits that are hashed cost nothing", 7, "src/validator/schema_checks.cpp",
            "what.bytes += 4 * number.text.size();", "", "json_schema_test", "JsonSchemaLimits.*"),
    in_unit("retry_condition", "a retry is refused for what its first try did", 4, "src/gateway/idempotency.cpp", ".repeats = repeats", ".repeats = false",
            "gateway_test", "GatewayLostAnswer.*"),
    in_unit("bound_listener", "a listener that is bound to an account reads in another one", 12, "src/gateway/gateway.cpp",
            "account_refusal(call.request.ns, *account)", "account_refusal(*account, *account)", "gateway_test", "GatewayRecords.*"),
    in_unit("mongo_stray_range", "what is nobody's counts in a range whose lines do not find it", 10, "src/mongo/digest.cpp",
            "hash_below(*name)", "0", "mongo_archive", "*nobodys*:-*ferretdb"),
    in_unit("mongo_dropped_twice", "each process drops of a history what others have dropped", 10, "src/mongo/history_drop.cpp",
            "bytes <= believed_up_to && ", "", "mongo_archive", "*dropped_once*:-*ferretdb"),
    in_unit("restore_history", "what comes back was there since the restore began", 10, "src/pipeline/restore.cpp",
            "auto applied = apply_now(kept_);",
            "auto applied = state_.store().apply({.entries = kept_, .now = now_, .deadline = turn_.deadline(), .ignore_floor = true});",
            "unit_pipeline", "History.of_what*"),
    in_unit("schedule_jitter", "a runner keeps the wait that it drew for a turn of another's", 9, "src/pipeline/scheduler.cpp",
            "job.start_at.reset();  // another", "// another", "ttl_cron_config_test", "*jitter*"),
    in_unit("stop_jobs", "a job begins while a pipeline stops", 9, "src/pipeline/pipeline.cpp",
            "  (void)state.scheduler->stop(Deadline::immediate());\n", "", "unit_pipeline", "Pipeline.stop*"),
    in_unit("sqlite_follower", "a message that lost its row stops the queue", 2, "src/sqlite/queue_receive.cpp",
            "return bury_lost(follower);", 'throw_damaged("a message without its body");', "unit_sqlite", "SqliteDamagedRow.*"),
    in_unit("sqlite_outbox_damage", "a damaged state of a history stops all others", 10, "src/sqlite/outbox.cpp",
            "if (failed.error().code() != ErrorCode::kCorrupted) throw;", "throw;", "unit_sqlite", "SqliteDamagedRow.*"),
    in_unit("older_copy", "a store put back from a backup is archived as if it had never been further", 10, ARCHIVER,
            "if (!*found || (*found)->dropped || (*found)->position >= known.cursor_at) return std::string();", "return std::string();", "unit_sqlite",
            "SqliteBackup.*"),
    in_unit("lost_end", "positions that a store gives anew are taken for archived", 10, ARCHIVER,
            "      checkpoint_.position = (*found)->position;\n      ledger_", "      ledger_", "unit_pipeline", "Archiver.goes_back_to*"),
    in_unit("sqlite_outbox_clock", "a file put back from a backup gives positions of states that its archive knows", 10, "src/sqlite/outbox.cpp",
            "* kPositionsOfMillisecond);", "* 0 * kPositionsOfMillisecond);", "unit_sqlite", "SqliteBackup.*"),
    in_unit("sqlite_outbox_sum", "a damaged entry of the outbox is archived as if it were true", 10, "src/sqlite/outbox.cpp",
            "if (need(reader.varint()) != entry_checksum(checked)) throw_damaged(kWhat);", "(void)need(reader.varint());", "unit_sqlite",
            "SqliteDamagedRow.*"),
    in_unit("sqlite_forgettable", "what a cursor has not passed hides what may be forgotten", 10, "src/sqlite/store_reclaim.cpp",
            "        place_ = std::move(one);\n", "", "unit_sqlite", "SqliteLayout.*"),
    in_unit("sqlite_moved", "the name of a message is forgotten before the message", 2, "src/sqlite/queue_admin.cpp",
            "AND NOT EXISTS(SELECT 1 FROM outcome o WHERE o.win=m.stamp>>17 AND o.queue=?1 AND o.at>?3) ", "", "unit_sqlite", "SqliteLayout.*"),
    in_unit("sqlite_companion", "a full disk at the companion file is reported as something else", 1, "src/sqlite/sidecar.cpp",
            "native = ::posix_fallocate(file, 0, kSidecarBytes);", "native = ::posix_fallocate(file, 0, kSidecarBytes) != 0 ? errno : 0;",
            "unit_sqlite", "SqliteFile.*"),
    in_kit("sqlite_lengths", "a delay may be so long that it is over at once", 8, "src/sqlite/queue_settle.cpp",
            'return timed ? detail::check_length("delay", settlement.delay, Milliseconds(0)) : Result<void>();', "return timed ? Result<void>() : Result<void>();",
            SQLITE_QUEUES),
    in_unit("mongo_own_error", "a document of no format stops the bulk that it is in", 10, MONGO,
            "if (at != asked.end()) decide(", "if (auto known = check_format_of(found); !known) return known;\n      if (at != asked.end()) decide(",
            "mongo_archive", "*damaged*"),
    in_unit("mongo_lost", "what was written before its answer was lost counts as older", 10, MONGO, "rose != 0 ? work->document.tombstone : work->unknown", "rose != 0 && work->document.tombstone", "mongo_faults", "*cut_off*"),
    in_unit("mongo_twice", "two upserts of one document at once: the second one is refused", 10, MONGO, "code == kDuplicateKey && !known &&",
            "false &&", "mongo_faults", "MongoScripted.*"),
    in_unit("mongo_silence", "documents of which the server says nothing count as written", 10, MONGO,
            "if (static_cast<std::size_t>(made) != sent.size()) return look_at(sent);", "", "mongo_faults", "MongoScripted.*"),
    in_unit("mongo_piece_names", "two writes of one version share their pieces", 10, MONGO_PIECES, "return fmt::format(\"{} {}\", id, mark);",
            "return fmt::format(\"{} {}\", id, order_in(mark));", "mongo_archive", "*MongoPieces*"),
    in_unit("mongo_place", "a state that is refused leaves no place in its history", 2, MONGO_HISTORY,
            "if (mongoc_collection_insert_one(documents.get(), place.raw(), nullptr, nullptr, &error)) break;", "break;", "mongo_archive",
            "*MongoHistoryDamage*"),
    in_unit("mongo_tagged", "what was replaced since it was seen is removed", 10, MONGO_ARCHIVE,
            "filter.add_utf8(\"record.mark\", std::string_view(tag).substr(1));", "", "conformance_mongo_test", "*removes_what_has_its_tag*"),
    in_unit("archiver_overtaken", "a copy goes on though its cursor was moved", 10, ARCHIVER, "at <= *checkpoint_.copy_from)", "true)", "unit_pipeline",
            "ArchiverCopy.*"),
]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def failures(text):
    return sorted(set(re.findall(r"^\[  FAILED  \] (\S+?)(?:, where .*)?(?: \(\d+ ms\))?$", text, re.M)))


def check_texts():
    stale = []
    for mutant in MUTANTS:
        with open(os.path.join(ROOT, mutant.path), encoding="utf-8") as file:
            code = file.read()
        stale += [f"{mutant.name}: {mutant.path} no longer holds {text!r}" for text, _ in mutant.patches if text not in code]
    if stale:
        sys.exit("\n".join(stale))


def mutated(mutant, code):
    for text, replacement in mutant.patches:
        code = code.replace(text, replacement, 1)
    return code


def compile_mutant(command, source, mutant, made):
    command = shlex.split(command)
    command[command.index("-o") + 1] = made
    command[command.index(source)] = mutant
    command = [part for part in command if part not in ("-MD", "-Werror")]
    for flag in ("-MT", "-MF"):
        if flag in command:
            at = command.index(flag)
            del command[at:at + 2]
    # -w: what is left out leaves variables unused.
    return command + ["-w", "-I" + os.path.dirname(source)]


def link_mutant(command, path, made, program):
    # A test program may be made of the source itself, not of the library.
    parts = [part for part in shlex.split(command.split("&&")[1]) if not part.endswith("/" + path + ".o")]
    at = parts.index("-o")
    parts[at + 1] = program
    return parts[:at] + [made] + parts[at:]


def last_test(text):
    begun = re.findall(r"^\[ RUN      \] (\S+)$", text, re.M)
    return f"`{begun[-1]}`" if begun else "the program"


def notice(mutant, program):
    try:
        run = subprocess.run([program, "--gtest_filter=" + mutant.tests], capture_output=True, text=True, errors="replace", timeout=LIMIT,
                             env={**os.environ, **mutant.environment})
    except subprocess.TimeoutExpired as ended:
        return [last_test((ended.stdout or b"").decode(errors="replace")) + " (never ended)"]
    if re.search(r"^\[==========\] 0 tests", run.stdout, re.M):
        sys.exit(f"{mutant.name}: no test is called {mutant.tests}")
    return [f"`{test}`" for test in failures(run.stdout)] or ([last_test(run.stdout) + " (a crash)"] if run.returncode else [])


# What fails anyway notices nothing.
@functools.cache
def check_sound(target, tests, environment, program):
    sound = Mutant("nothing", "", 0, "", [], target, tests, dict(environment))
    if noticed := notice(sound, program):
        sys.exit(f"{target} fails without any mutant: {', '.join(noticed)}")


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    check_texts()
    if sys.argv[1:] == ["--check"]:
        return
    build = os.path.abspath(sys.argv[1])
    mutants = [mutant for mutant in MUTANTS if not sys.argv[2:] or mutant.name in sys.argv[2:]]
    targets = sorted({mutant.target for mutant in mutants})
    subprocess.run(["ninja", "-C", build, *targets], check=True, stdout=sys.stderr)
    commands = {c["file"]: c["command"] for c in json.loads(output("ninja", "-C", build, "-t", "compdb")) if c["file"].endswith(".cpp")}
    links = {target: output("ninja", "-C", build, "-t", "commands", target).strip().splitlines()[-1] for target in targets}
    survived = []
    print("| mutant | what is broken | invariant | noticed by |\n|---|---|---|---|")
    for mutant in mutants:
        program = os.path.join(build, re.search(r" -o (\S+)", links[mutant.target]).group(1))
        check_sound(mutant.target, mutant.tests, tuple(sorted(mutant.environment.items())), program)
        source = os.path.join(ROOT, mutant.path)
        with open(source, encoding="utf-8") as file:
            code = mutated(mutant, file.read())
        with tempfile.TemporaryDirectory() as folder:
            copy, made, program = (os.path.join(folder, end) for end in ("mutant.cpp", "mutant.o", "mutant"))
            with open(copy, "w", encoding="utf-8") as file:
                file.write(code)
            subprocess.run(compile_mutant(commands[source], source, copy, made), check=True, cwd=build)
            subprocess.run(link_mutant(links[mutant.target], mutant.path.split("/", 2)[2], made, program), check=True, cwd=build)
            noticed = notice(mutant, program)
        if not noticed:
            survived.append(mutant.name)
        shown = "; ".join(noticed[:3]) + (f" and {len(noticed) - 3} more" if len(noticed) > 3 else "")
        print(f"| {mutant.name} | {mutant.what} | {mutant.invariant} | {shown or '**nothing**'} |", flush=True)
    if survived:
        sys.exit("survived: " + ", ".join(survived))


if __name__ == "__main__":
    main()
