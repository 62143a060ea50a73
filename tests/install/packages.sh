#!/usr/bin/env bash
# packages.sh SOURCE BUILD: installs BUILD into a temporary prefix and uses it as hosts do.
set -euo pipefail
source_dir=$1
build_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$source_dir/tests/install
step() { echo "== $*"; }

step "install"
cmake --install "$build_dir" --prefix "$work/prefix" >"$work/install.log"
libdir=$(cd "$work/prefix" && dirname "$(find . -name 'libsetget-core.*' | sort | head -n 1)")
libdir=${libdir#./}

step "the installed files are those of files.txt"
(cd "$work/prefix" && find . -type f -o -type l) | sed -e 's|^\./||' -e "s|^$libdir/|LIBDIR/|" -e 's|-targets-[a-z]*\.cmake$|-targets-TYPE.cmake|' |
  LC_ALL=C sort >"$work/files.txt"
if [ -n "${SETGET_UPDATE_FILE_LIST-}" ]; then cp "$work/files.txt" "$here/files.txt"; fi
diff -u "$here/files.txt" "$work/files.txt"

step "no path of the build is in what was installed"
if grep -rlF -e "$source_dir" -e "$build_dir" "$work/prefix/$libdir/cmake" "$work/prefix/$libdir/pkgconfig" "$work/prefix/include"; then exit 1; fi

# Moved, to show that nothing depends on where it was installed.
mv "$work/prefix" "$work/moved"

step "find_package consumer"
cmake -S "$here/consumer" -B "$work/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_CXX_COMPILER="${CXX:-c++}" >"$work/configure.log" ||
  { cat "$work/configure.log"; exit 1; }
cmake --build "$work/consumer"
"$work/consumer/consumer" "$work/find_package.db"

step "pkg-config consumer"
export PKG_CONFIG_PATH=$work/moved/$libdir/pkgconfig
for name in $(cd "$PKG_CONFIG_PATH" && ls); do pkg-config --exists --print-errors "${name%.pc}"; done
# shellcheck disable=SC2046 # words are wanted
"${CXX:-c++}" -std=c++20 -DWITH_SQLITE -DWITH_REDIS -DWITH_MONGO "$here/consumer/main.cpp" -o "$work/by_pkg_config" $(pkg-config --cflags --libs setget-sqlite setget-memory setget-redis setget-mongo)
"$work/by_pkg_config" "$work/pkg_config.db"

step "the Kairos modules on the installed SDK"
cmake -S "$source_dir/examples/kairos" -B "$work/kairos" -G Ninja -DCMAKE_PREFIX_PATH="$work/moved" -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="${CXX:-c++}" -DCMAKE_CXX_COMPILER_LAUNCHER="${SETGET_CCACHE-}" >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }
cmake --build "$work/kairos"
(cd "$work" && "$work/kairos/kairos-demo" "$source_dir/examples/kairos/sample-upload.multipart" >"$work/kairos.out") || { cat "$work/kairos.out"; exit 1; }
