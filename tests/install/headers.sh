#!/usr/bin/env bash
# headers.sh SOURCE: every public header compiles alone, includes nothing private, and defines no macro but SETGET_….
set -euo pipefail
include=$1/include
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export include work

check() {
  local header=$1 name=${1//\//_} testing="" opt_in=none
  # Headers that are there to show one library.
  case "$header" in setget/testing/*) testing=1 ;; *_nlohmann.hpp) opt_in=nlohmann ;; *_simdjson.hpp) opt_in=simdjson ;; esac
  # Twice, so that a missing #pragma once shows.
  printf '#include <%s>\n#include <%s>\n' "$header" "$header" >"$work/$name.cpp"
  "${CXX:-c++}" -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only -I"$include" -MD -MF "$work/$name.d" "$work/$name.cpp" ||
    { echo "$header does not compile alone" >&2; return 1; }
  local leaks
  leaks=$(tr ' \\' '\n\n' <"$work/$name.d" | grep -E '/(boost|fmt|simdjson|nlohmann|toml\+\+|prometheus|date|openssl|spdlog|CLI)[/.]|/sqlite3\.h|/xxhash\.h|/zstd[a-z_]*\.h|/zdict\.h|/hiredis/|/re2/|/pcre2\.h|/idn2\.h|/libmongoc|/libbson' |
    grep -vE "/$opt_in[/.]" | sort -u || true)
  if [ -n "$leaks" ]; then
    printf '%s shows private dependencies:\n%s\n' "$header" "$leaks" >&2
    return 1
  fi
  if [ -z "$testing" ] && grep -q '/gtest/' "$work/$name.d"; then
    echo "$header shows GoogleTest" >&2
    return 1
  fi
}
export -f check

cd "$include"
find setget -name '*.hpp' | sort | xargs -P 2 -I {} bash -c 'check {}'
if grep -rnE '^[[:space:]]*#[[:space:]]*define[[:space:]]' setget | grep -vE 'define[[:space:]]+SETGET_'; then
  echo "macros of public headers start with SETGET_" >&2
  exit 1
fi
echo "$(find setget -name '*.hpp' | wc -l) headers"
