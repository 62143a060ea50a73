#!/usr/bin/env python3
"""Breaks the SDK on purpose, one rule at a time, and shows which test notices.

    tests/mutants/run.py BUILD_DIR [NAME…]

BUILD_DIR is a configured Ninja build that holds conformance_test and model_test. Nothing in the source tree is touched: each mutant
is a copy of one source file, compiled with that file's own command and linked in front of the libraries. Prints a Markdown table and exits
non-zero if a mutant survives. docs/reliability-mutants.md keeps the latest table.
"""
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
ORDERS = "memory_key_store.*"
RECORDS = "memory_key_store.*"
QUEUES = "memory_queue.*"

# name, what is broken, invariant of DESIGN section 3, file, text, replacement, tests to run
MUTANTS = [
    ("stale_claims", "a stale set claims no keys", 3, MODEL,
     "if (auto done = claim(entry, before); !done) return std::move(done).error();\n      return plain(Outcome::kStale, before);",
     "return plain(Outcome::kStale, before);", ORDERS),
    ("marks", "an erase by key spares what is applied after it", 3, MODEL, "erased = erased || slot.mark > stamp;", "", ORDERS),
    ("superseded", "a record without any key left stays", 3, MODEL, "return erased || superseded;", "return erased;", ORDERS),
    ("earliest", "of equal sets the first applied counts, not the first accepted", 3, MODEL,
     "if (entry.stamp < before.stamp) {", "if (entry.stamp < before.stamp && false) {", ORDERS),
    ("conflict", "an equal version with other bytes passes as a duplicate", 3, MODEL, "if (!same) {", "if (!same && false) {", RECORDS),
    ("falling_back", "the best claim of another identity is not kept", 3, MODEL, "next.other_stamp = slot.claim_stamp;", "", ORDERS),
    ("touch_waits", "a touch that comes before its set is forgotten", 3, MODEL, "slot.touch_stamp = entry.stamp;", "", ORDERS),
    ("dropped_keys", "a key that the new version does not list still leads", 4, MODEL, "released.leads = false;", "", RECORDS),
    ("expired_set", "a set that has expired when it is applied is stored", 6, MODEL,
     "const bool expired = slot.expires_at && *slot.expires_at <= context_.now;", "const bool expired = false;", RECORDS),
    ("reader_clock", "the reader's time is not asked", 6, STORE,
     "return row.slot.expires_at && *row.slot.expires_at <= now;", "return row.slot.expires_at && now.time_since_epoch().count() < 0;", RECORDS),
    ("archive_expired", "the archive answers with expired records", 6, ARCHIVE, "entry.tombstone || entry.record.expired(now)",
     "entry.tombstone || (entry.record.expired(now) && false)", "memory_archive.*"),
    ("archive_guard", "an older version overwrites a newer one in the archive", 10, ARCHIVE,
     "std::pair(there.version, there.revision) >= std::pair(entry.version, entry.revision)",
     "std::pair(there.version, there.revision) == std::pair(entry.version, entry.revision)", "memory_archive.*"),
    ("old_receipt", "an old receipt settles the later lease", 8, QUEUE, " || found->second.token != *token", "", QUEUES),
    ("lease_end", "a lease that ends leaves the later ones of its group in flight", 8, QUEUE,
     "for (auto* other : later) end_lease(*other);\n  for (auto* other : later) release(*other, now, now);", "", QUEUES),
    ("poison", "a receive is not counted", 9, QUEUE, "++message.receives;", "", QUEUES),
    ("ledger", "an outcome is not counted", 2, QUEUE, "++outcomes_[static_cast<std::size_t>(finished.outcome)];", "", QUEUES),
    ("in_flight", "max_in_flight is not kept", 11, QUEUE, " && in_flight_ < info_.options.max_in_flight", "", QUEUES),
    ("max_bytes", "a batch may be larger than max_bytes", 11, QUEUE, "if (bytes > request.max_bytes && !taken.empty()) break;", "", QUEUES),
]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def failures(text):
    return sorted(set(re.findall(r"^\[  FAILED  \] (\S+?)(?: \(\d+ ms\))?$", text, re.M)))


def main():
    build = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    commands = {c["file"]: c["command"] for c in json.loads(output("ninja", "-C", build, "-t", "compdb")) if c["file"].endswith(".cpp")}
    link = output("ninja", "-C", build, "-t", "commands", "conformance_test").strip().splitlines()[-1]
    survived = []
    print("| mutant | what is broken | invariant | noticed by |\n|---|---|---|---|")
    for name, what, invariant, path, text, replacement, tests in MUTANTS:
        if wanted and name not in wanted:
            continue
        source = os.path.join(ROOT, path)
        with open(source, encoding="utf-8") as file:
            code = file.read()
        if code.count(text) < 1:
            sys.exit(f"{name}: {path} no longer holds {text!r}")
        with tempfile.TemporaryDirectory() as folder:
            mutant, made, program = (os.path.join(folder, end) for end in ("mutant.cpp", "mutant.o", "mutant"))
            with open(mutant, "w", encoding="utf-8") as file:
                file.write(code.replace(text, replacement, 1))
            compile_command = shlex.split(commands[source])
            compile_command[compile_command.index("-o") + 1] = made
            compile_command[compile_command.index(source)] = mutant
            compile_command = [c for c in compile_command if c not in ("-MD",)]
            for flag in ("-MT", "-MF"):
                if flag in compile_command:
                    at = compile_command.index(flag)
                    del compile_command[at:at + 2]
            compile_command += ["-w", "-I" + os.path.dirname(source)]
            subprocess.run(compile_command, check=True, cwd=build)
            link_command = [part for part in shlex.split(link.split("&&")[1])]
            at = link_command.index("-o")
            link_command[at + 1] = program
            link_command.insert(at, made)
            subprocess.run(link_command, check=True, cwd=build)
            try:
                run = subprocess.run([program, "--gtest_brief=1", "--gtest_filter=" + tests], capture_output=True, text=True, timeout=300)
                noticed = failures(run.stdout) or (["a crash"] if run.returncode else [])
            except subprocess.TimeoutExpired:
                noticed = ["a test that never ended"]
        if not noticed:
            survived.append(name)
        shown = "; ".join(f"`{test}`" for test in noticed[:3]) + (f" and {len(noticed) - 3} more" if len(noticed) > 3 else "")
        print(f"| {name} | {what} | {invariant} | {shown or '**nothing**'} |", flush=True)
    if survived:
        sys.exit("survived: " + ", ".join(survived))


if __name__ == "__main__":
    main()
