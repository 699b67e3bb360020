#!/usr/bin/env bash
# Two devices share a to-do list through a folder, with the example program.
#
#   bash swift/Tests/todo.sh BUILD     BUILD: the scratch folder of a finished `swift build`
set -euo pipefail
todo="$(cd "$1" && pwd)/debug/todo"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
mkdir "$out/folder"
passed=0

fail() { echo "todo: $*" >&2; exit 1; }
run() { "$todo" --store "$out/$1.db" --folder "$out/folder" --passphrase-file "$out/passphrase" "${@:2}"; }
# check WHAT COMMAND… : COMMAND must succeed.
check() { "${@:2}" || fail "$1"; passed=$((passed + 1)); }
# refused CODE COMMAND… : COMMAND must exit with CODE.
refused() {
  local code=0
  "${@:2}" >/dev/null 2>"$out/error" || code=$?
  [ "$code" = "$1" ] && [ -s "$out/error" ] || fail "${*:3} ended with $code instead of $1"
  passed=$((passed + 1))
}

id="$(run a add 'Buy milk')"
run a add 'Call Ada' >/dev/null
check "a does not sync" [ "$(run a sync)" = "in sync" ]
check "the passphrase is open to others" [ "$(stat -c %a "$out/passphrase")" = 600 ]
run b sync >/dev/null
check "b does not see what a wrote" grep -q "^\[ \] $id  Buy milk$" <(run b list)
run b complete "$id"
run b sync >/dev/null
run a sync >/dev/null
check "a does not see what b completed" grep -q "^\[x\] $id  Buy milk$" <(run a list)

: >"$out/watched"
run a watch >"$out/watched" &
watching=$!
until grep -q 'Call Ada' "$out/watched"; do sleep 0.05; kill -0 "$watching" || fail "watch ended"; done
kill "$watching"
wait "$watching" || true
passed=$((passed + 1))

refused 1 run a complete nobody
refused 1 "$todo" --store "$out/a.db" sync
refused 1 "$todo" --store "$out/no/such.db" list
refused 2 run a
refused 2 run a paint
echo "todo: $passed passed, 0 failed"
