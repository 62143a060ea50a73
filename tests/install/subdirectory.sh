#!/usr/bin/env bash
# subdirectory.sh SOURCE BINARY WERROR: a host with setget in its own build, as shared libraries; and what these export. BINARY: the build that
# the test is of. With a compiler cache the host's build takes from it what that one has compiled, so it is the same in all that counts for
# that, and stands beside it; without one it is not optimised, which exports no less.
set -euo pipefail
source_dir=$1 binary_dir=$2 werror=$3
work=$(mktemp -d "$binary_dir-subdirectory.XXXXXX")
trap 'rm -rf "$work"' EXIT
step() { echo "== $*"; }

step "add_subdirectory consumer"
if [ -n "${SETGET_CCACHE-}" ]; then
  how=(-DCMAKE_BUILD_TYPE=Release -DSETGET_WARNINGS_AS_ERRORS="$werror" -DCMAKE_CXX_COMPILER_LAUNCHER="$SETGET_CCACHE")
else
  how=(-DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_UNITY_BUILD=ON)
fi
cmake -S "$source_dir/tests/install/subdirectory" -B "$work" -G Ninja -DSETGET_SOURCE="$source_dir" -DCMAKE_CXX_COMPILER="${CXX:-c++}" "${how[@]}" >"$work/configure.log" ||
  { cat "$work/configure.log"; exit 1; }
cmake --build "$work" >"$work/build.log" || { tail -n 40 "$work/build.log"; exit 1; }
"$work/consumer" "$work/host.db"

step "shared libraries export setget's public names and nothing else"
failed=0
libraries=$(find "$work" -name 'libsetget-*.so')
[ -n "$libraries" ]
for library in $libraries; do
  if nm -D --defined-only "$library" | awk '{print $3}' | c++filt | grep -v '^setget::\|^\(vtable\|typeinfo\|typeinfo name\|VTT\|guard variable\|non-virtual thunk\|virtual thunk\) \(for\|to\) setget::' | grep .; then
    echo "$(basename "$library") exports the names above" >&2
    failed=1
  fi
  if nm -D --defined-only "$library" | awk '{print $3}' | c++filt | grep '^setget::v0::[a-z:]*detail::'; then
    echo "$(basename "$library") exports the private names above" >&2
    failed=1
  fi
  nm -D --defined-only "$library" | c++filt | grep 'setget::v0::' >/dev/null || { echo "$(basename "$library") exports nothing" >&2; failed=1; }
done
exit $failed
