#!/usr/bin/env bash
# A to-do list in two terminals, one in Swift and one in Kotlin, over one folder: each sees the other's edits.
#
#   bash tests/two_terminals.sh FOLDER SWIFT KOTLIN     FOLDER: an empty one; SWIFT, KOTLIN: files with a command a line
set -euo pipefail
folder="$(cd "$1" && pwd)"
mapfile -t swift <"$2"
mapfile -t kotlin <"$3"
mkdir "$folder/shared"
common=(--folder "$folder/shared" --passphrase-file "$folder/passphrase")
in_swift() { "${swift[@]}" --store "$folder/swift.db" "${common[@]}" "$@"; }
in_kotlin() { "${kotlin[@]}" --store "$folder/kotlin.db" "${common[@]}" "$@"; }
fail() { echo "two terminals: $*" >&2; cat "$folder"/*.out >&2; exit 1; }
# shows FILE TEXT : the terminal of FILE shows TEXT before long.
shows() {
  for _ in $(seq 150); do
    grep -q "$2" "$1" 2>/dev/null && return 0
    sleep 0.2
  done
  fail "$1 never showed: $2"
}
watching=()
trap 'kill "${watching[@]}" 2>/dev/null || true; wait 2>/dev/null || true' EXIT

milk="$(in_kotlin add 'Buy milk')"
in_kotlin sync >/dev/null
# Replacing the shell, so that what is ended is the program and not a shell around it.
(exec "${swift[@]}" --store "$folder/swift.db" "${common[@]}" watch) >"$folder/swift.out" 2>&1 & watching+=($!)
(exec "${kotlin[@]}" --store "$folder/kotlin.db" "${common[@]}" watch) >"$folder/kotlin.out" 2>&1 & watching+=($!)
shows "$folder/swift.out" "Buy milk"
# Each edits in a second process beside its watching one.
in_swift add 'Water the plants' >/dev/null && in_swift sync >/dev/null
shows "$folder/kotlin.out" "Water the plants"
in_swift complete "$milk" >/dev/null && in_swift sync >/dev/null
shows "$folder/kotlin.out" "\[x\] $milk"
in_kotlin add 'Call Ada' >/dev/null && in_kotlin sync >/dev/null
shows "$folder/swift.out" "Call Ada"
echo "terminals: 4 passed, 0 failed"
