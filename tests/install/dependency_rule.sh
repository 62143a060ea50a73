#!/usr/bin/env bash
# dependency_rule.sh SOURCE: arrows between rooms only point down (docs/ARCHITECTURE.md), and each C library has one door.
set -euo pipefail
cd "$1"
failed=0
complain() {
  printf '%s\n%s\n' "$1" "$2" >&2
  failed=1
}
includes() { grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]('"$1"')' "${@:2}" || true; }

# room: what of src/ it may include besides itself.
rule() {
  local room=$1 allowed=$2 found
  [ -d "src/$room" ] || { complain "no such room" "src/$room"; return; }
  found=$(includes '[a-z_]+/[a-z_0-9/]+\.hpp' "src/$room" | grep -vE "[<\"](setget|$room${allowed:+|$allowed})/" |
    grep -E '[<"](core|validator|mapping|pipeline|memory|sqlite|redis|mongo|sqs|gateway|http|config|testing)/' || true)
  [ -z "$found" ] || complain "src/$room may include only: $room ${allowed//|/ } and public headers" "$found"
}
rule core ''
rule validator 'core'
rule mapping 'core'
rule pipeline 'core|validator|mapping'
rule memory 'core'
rule sqlite 'core'
rule redis 'core'
rule mongo 'core'
rule gateway 'core|validator|mapping|pipeline'
rule http 'core|gateway'
rule config 'core|validator|mapping|pipeline|gateway'
rule testing 'core|sqlite'

# The same for public headers: which seams a room may know.
public_rule() {
  local found
  found=$(includes "setget/($2)\\.hpp" "src/$1")
  [ -z "$found" ] || complain "src/$1 must not know these parts" "$found"
}
backends='memory|sqlite|redis|mongo|sqs'
above='pipeline|ingress|worker|reader|archiver|scheduler|gateway|http|config|setget'
public_rule core "$above|$backends|validator|ttl|cron|jmespath|mapping"
public_rule validator "$above|$backends|jmespath|mapping"
# What a mapping makes is the request that an ingress takes.
public_rule mapping "pipeline|worker|reader|archiver|scheduler|gateway|http|config|setget|$backends"
public_rule pipeline "$backends|gateway|http|config"
public_rule memory "$above|sqlite|redis|mongo|sqs"
public_rule sqlite "$above|memory|redis|mongo|sqs"
public_rule redis "$above|memory|sqlite|mongo|sqs"
public_rule mongo "$above|memory|sqlite|redis|sqs"
public_rule gateway "$backends|http|config"
public_rule http "$backends|config"

found=$(includes 'sqlite3\.h|hiredis|mongoc/mongoc\.h|bson/|curl/|[<"]z(std|dict)[a-z_]*\.h|re2/|pcre2\.h|idn2\.h' include src examples tests | grep -vE '^(src/sqlite/sqlite3|src/redis/zstd|src/mongo/mongoc|tests/support/hiredis)\.hpp:|^src/validator/(re2|pcre2|idn)_door\.cpp:' || true)
[ -z "$found" ] || complain "C headers are included only by the one door of their room" "$found"
# But for the headers that are there to take their values, and whose name says so.
found=$(includes 'simdjson|nlohmann/' include | grep -vE '^include/setget/[a-z_]+_(nlohmann|simdjson)\.hpp:' || true)
[ -z "$found" ] || complain "simdjson and nlohmann-json are for sources only" "$found"
found=$(includes 'boost/' include src | grep -v '^src/http/' || true)
[ -z "$found" ] || complain "Boost is for src/http only" "$found"
found=$(includes 'spdlog/|CLI/' include src || true)
[ -z "$found" ] || complain "spdlog and CLI11 are for examples only" "$found"
exit $failed
