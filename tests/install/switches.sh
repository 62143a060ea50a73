#!/usr/bin/env bash
# switches.sh SOURCE BUILD: a component whose dependency is missing is off, comes once it is there, in the same build folder, and does
# what ON and OFF say.
set -euo pipefail
source=$1 build=$2/switches
rm -rf "$build"
trap 'rm -rf "$build"' EXIT

configure() { cmake -S "$source" -B "$build" -G Ninja -DSETGET_BUILD_TESTS=OFF -DSETGET_BUILD_EXAMPLES=OFF "$@" 2>&1; }
expect() { # component, ON or OFF, output
  grep -qx -- "-- setget component $1: $2" <<<"$3" || { printf 'expected %s to be %s:\n%s\n' "$1" "$2" "$3" >&2; exit 1; }
}

missing=$(configure -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON -DCMAKE_DISABLE_FIND_PACKAGE_mongoc-1.0=ON)
for component in TESTING HTTP MONGO; do expect $component OFF "$missing"; done
expect SQLITE ON "$missing"

if asked=$(configure -DSETGET_WITH_HTTP=ON); then
  printf 'HTTP was asked for without Boost, and CMake went on:\n%s\n' "$asked" >&2
  exit 1
fi
grep -q 'SETGET_WITH_HTTP is on, but Boost' <<<"$asked"

there=$(configure -DSETGET_WITH_HTTP=AUTO -DSETGET_WITH_SQLITE=OFF -UCMAKE_DISABLE_FIND_PACKAGE_*)
for component in TESTING HTTP MONGO; do expect $component ON "$there"; done
expect SQLITE OFF "$there"
