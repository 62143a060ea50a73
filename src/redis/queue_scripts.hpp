// The Lua scripts that change one part of a queue, each in one step. queue_scripts.cpp tells what is stored where. Thread rule: immutable.
#pragma once

#include "redis/script.hpp"

namespace setget::inline v0::redis::queue_scripts {

// KEYS[1] of all: the head of the queue's names in the part, "PREFIX:{TAG}:QUEUE:". There is never a key of that name: with it and KEYS[2],
// the part's `m`, a cluster that is moving the slot refuses the script (TRYAGAIN) on either side until all of the part is in one place,
// though the script does not declare what else it uses. Those that give stamps also get KEYS[3], the stamp that was given last in this
// part. `now` is in ms since 1970, numbers are decimal.

// id, id of the queue to replace or "", born, tag, now, kind, visibility, delay, retention, max_receives, dedup_window, outcome_retention,
// max_in_flight, max_message_bytes. Answers {"other", id} where the part holds a queue that is neither.
const Script& install();
// id. "none" where there is no queue.
const Script& drop();

// All that follow but raise() get the tag of the queue that is meant as one more argument at the end. They answer "none" where the part has
// no queue, "other" where it is another one or has other options, and do nothing then.

// now, after, part, parts, lane, number, largest, longest, count; then of each message: delay, group, dedup id, record, and
// where there are several parts its place in the batch and the token of its pin.
const Script& send();
// The home of a deduplication id says which part decides about it: now, until, part, id, token of the pin, and the token of one that is
// refused or "". Answers part, token and age of the pin that holds.
const Script& pin();
// What the pinned part knows of the id. If nothing, and forced, it will never accept it under this pin: now, until, id, token, force.
const Script& refuse();
// now, token, messages, bytes, visibility or "", limit in flight or "", again, dry, strict (not even one message may be over the
// limit of bytes). A dry one leases nothing and gives stamp and length of each body.
const Script& receive();
// now, lane, number; then groups of: action, token, outcome or delay, uncounted, reasons, count, and so many messages.
const Script& settle();
// message.
const Script& find();
// now.
const Script& stats();
const Script& oldest();
// KEYS: a part's last stamp, and a name that is never a key. stamp. No later stamp of this part will be this one or less.
const Script& raise();
// limit. Of each message: number, stamp, receives, origin, until when it is leased, and the first of its frame or 0.
const Script& peek();
// after, limit: dead letters by stamp.
const Script& dead();
// now, after, part, parts, restamp, and messages.
const Script& redrive();
// now, and messages.
const Script& purge();
// now, steps.
const Script& maintain();

}  // namespace setget::inline v0::redis::queue_scripts
