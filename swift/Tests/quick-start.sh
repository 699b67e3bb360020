#!/usr/bin/env bash
# The quick start of the README is the program in Examples/quick-start, and does what it says.
#
#   bash swift/Tests/quick-start.sh BUILD     BUILD: the scratch folder of a finished `swift build`
set -euo pipefail
program="$(cd "$1" && pwd)/debug/quick-start"
cd "$(dirname "$0")/../.."
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
awk '/^```swift$/ { code = 1; next } /^```$/ { code = 0 } code' README.md >"$out/shown"
diff "$out/shown" swift/Examples/quick-start/main.swift >&2 ||
  { echo "copy swift/Examples/quick-start/main.swift into the README" >&2; exit 1; }
(cd "$out" && "$program" >printed)
[ "$(head -n 1 "$out/printed")" = "Bake bread" ] && grep -q '^other devices need this: [1-9A-HJ-NP-Za-km-z]*$' "$out/printed" &&
  [ -f "$out/mailbox/Todo/manifest.json" ] || { cat "$out/printed" >&2; exit 1; }
echo "quickstart: 1 passed, 0 failed"
