#include "sqlite/schema.hpp"

#include <array>

namespace setget::inline v0::sqlite {

namespace {

// Rows are narrow because every set writes them; what is uncommon has a column that is NULL (one byte) or a row of its own elsewhere.
constexpr std::array<const char*, 3> kMigrations{R"sql(
-- Bodies, each once: of messages (stamp > 0, the stamp that the queue gave) and of records that came without one (stamp < 0). A message
-- that is applied leaves its row to the record.
CREATE TABLE log(
  stamp INTEGER PRIMARY KEY,
  queue INTEGER NOT NULL,  -- 0 = no message
  grp BLOB,
  attrs BLOB,
  sum INTEGER NOT NULL,    -- checksum of body
  body BLOB NOT NULL);

-- Counters and runs of ready messages; see StateKind.
CREATE TABLE state(kind INTEGER, queue INTEGER, n INTEGER, v, PRIMARY KEY(kind, queue, n)) WITHOUT ROWID;

CREATE TABLE queue(id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL, options BLOB NOT NULL, created_at INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX queue_name ON queue(name) WHERE gone=0;
-- One row per receive: the leases given by it.
CREATE TABLE lease(token INTEGER PRIMARY KEY, queue INTEGER NOT NULL, until INTEGER NOT NULL, low INTEGER NOT NULL, members BLOB NOT NULL);
CREATE INDEX lease_until ON lease(queue, until);
CREATE TABLE delayed(queue INTEGER, due INTEGER, stamp INTEGER, flags INTEGER NOT NULL, PRIMARY KEY(queue, due, stamp)) WITHOUT ROWID;
CREATE INDEX delayed_stamp ON delayed(queue, stamp);
-- FIFO groups that are busy (a member is ready, delayed or leased), and who waits in them.
CREATE TABLE grp(queue INTEGER, name BLOB, PRIMARY KEY(queue, name)) WITHOUT ROWID;
CREATE TABLE waiting(queue INTEGER, grp BLOB, stamp INTEGER, due INTEGER, flags INTEGER NOT NULL, PRIMARY KEY(queue, grp, stamp)) WITHOUT ROWID;
CREATE INDEX waiting_stamp ON waiting(queue, stamp);
CREATE INDEX waiting_due ON waiting(queue, due) WHERE due IS NOT NULL;
-- Of messages that were received before or moved.
CREATE TABLE history(stamp INTEGER PRIMARY KEY, receives INTEGER NOT NULL, since INTEGER, origin INTEGER, reasons BLOB);
CREATE TABLE moved(origin INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, queue INTEGER NOT NULL);
CREATE TABLE dead(queue INTEGER, stamp INTEGER, at INTEGER NOT NULL, receives INTEGER NOT NULL, reasons BLOB, PRIMARY KEY(queue, stamp)) WITHOUT ROWID;
CREATE TABLE outcome(queue INTEGER, at INTEGER, n INTEGER, win INTEGER NOT NULL, entries BLOB NOT NULL, PRIMARY KEY(queue, at, n)) WITHOUT ROWID;
CREATE INDEX outcome_win ON outcome(win);
CREATE TABLE dedup(queue INTEGER, id BLOB, stamp INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY(queue, id)) WITHOUT ROWID;
CREATE INDEX dedup_until ON dedup(queue, until);

-- row: the log row of a live record. more: NULL where version = stamp = row, nothing expires and nothing was touched; see slot.hpp.
CREATE TABLE ident(h INTEGER, nsid BLOB, row INTEGER, more BLOB, PRIMARY KEY(h, nsid)) WITHOUT ROWID;
-- row: of the record that the key leads to, NULL where it leads nowhere. In the order of the keys and not of a hash, because keys that are
-- made one after the other ("order/41", "order/42") then share a page; random ones cost the same either way.
CREATE TABLE keys(nskey TEXT PRIMARY KEY, row INTEGER, more BLOB) WITHOUT ROWID;
CREATE TABLE silent(nskey TEXT, id BLOB, PRIMARY KEY(nskey, id)) WITHOUT ROWID;
CREATE TABLE expiry(at INTEGER, row INTEGER, PRIMARY KEY(at, row)) WITHOUT ROWID;
CREATE TABLE listing(ns BLOB, h INTEGER, id BLOB, account BLOB NOT NULL, flow BLOB NOT NULL, owner BLOB NOT NULL, row INTEGER NOT NULL, PRIMARY KEY(ns, h, id)) WITHOUT ROWID;
CREATE INDEX listing_flow ON listing(ns, account, flow, h, id);
CREATE INDEX listing_owner ON listing(ns, owner, h, id);
-- One row per transaction: entries of positions (seq - n, seq].
CREATE TABLE change(seq INTEGER PRIMARY KEY, n INTEGER NOT NULL, low INTEGER NOT NULL, entries BLOB NOT NULL);
CREATE TABLE cursor(name BLOB PRIMARY KEY, position INTEGER NOT NULL, max_lag INTEGER NOT NULL, dropped INTEGER NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
-- What may be forgotten once the floor has passed stamp and every cursor has passed position. kind: 0 = identity, 1 = key.
CREATE TABLE gc(stamp INTEGER, kind INTEGER, name BLOB, position INTEGER NOT NULL, PRIMARY KEY(stamp, kind, name)) WITHOUT ROWID;

INSERT INTO state VALUES(0, 0, 0, x'010000000000000000000000');
)sql",
                                                 R"sql(
-- The member of a busy group that was last made ready or delayed for it; it may be leased or finished since. NULL: of an older version.
ALTER TABLE grp ADD COLUMN head INTEGER;
)sql",
                                                 R"sql(
-- States of identities whose flow keeps history, until the archive has them. Positions are never used twice, also after the last was dropped.
CREATE TABLE outbox(position INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL, sum INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE outbox_total(one INTEGER PRIMARY KEY CHECK(one = 1), bytes INTEGER NOT NULL, states INTEGER NOT NULL);
INSERT INTO outbox_total VALUES(1, 0, 0);
)sql"};

}  // namespace

const Room kCoreRoom{.name = "core", .migrations = kMigrations};

}  // namespace setget::inline v0::sqlite
