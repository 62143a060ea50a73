#!/usr/bin/env bash
# docs.sh SOURCE: docs/metrics.md lists every metric, and docs/public-api.md every reason code of the validator.
set -euo pipefail
cd "$1"
failed=0
expect_all() { # document, names on stdin
  local name
  while read -r name; do
    grep -qF "\`$name\`" "$1" || { echo "$1 does not mention $name" >&2; failed=1; }
  done
}
expect_all docs/metrics.md < <(grep -rohE '"setget_[a-z_]+"' src --include='*.cpp' --include='*.hpp' | tr -d '"' | grep -E '_[a-z]+_' | sort -u)
expect_all docs/public-api.md < <(grep -ohE '(add\(|code = )"[a-z0-9_]+"' src/validator/*.cpp | grep -oE '"[a-z0-9_]+"' | tr -d '"' | sort -u)
expect_all docs/public-api.md < <(grep -ohE 'with_reason\([^;]*"[a-z]+_[a-z_]+"' src/core/model.cpp | grep -oE '"[a-z_]+"' | tr -d '"' | sort -u)
exit $failed
