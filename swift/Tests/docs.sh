#!/usr/bin/env bash
# Compiles and runs the code of the articles as it stands there.
#
#   bash swift/Tests/docs.sh BUILD LIBRARY     BUILD: the scratch folder of a finished `swift build`;
#                                              LIBRARY: the folder of libinterocitor_ffi.so
set -euo pipefail
build="$(cd "$1" && pwd)/debug"
library="$(cd "$2" && pwd)"
cd "$(dirname "$0")/../Sources"
objects=("$build"/InterocitorKit.build/*.o "$build"/InterocitorBindings.build/*.o)
all="$(mktemp -d)"
trap 'rm -rf "$all"' EXIT

# article NAME GIVEN PRINTED…: runs an article after the line of Swift GIVEN, in a folder $out of its own; what it prints
# must match each PRINTED.
article() {
  local name="$1" given="$2" pattern
  shift 2
  {
    echo 'import Foundation'
    echo 'import InterocitorKit'
    echo "let storeURL = URL(fileURLWithPath: \"$out/todo.db\"), folderURL = URL(fileURLWithPath: \"$out/folder\")"
    echo "$given"
    awk '/^```swift$/ { code = 1; next } /^```$/ { code = 0 } code' "InterocitorKit/InterocitorKit.docc/$name.md"
  } >"$out/main.swift"
  # Without a warning, too: it is what people copy.
  swiftc -swift-version 6 -warnings-as-errors -I "$build/Modules" -I InterocitorFFI -module-cache-path "$all/cache" \
    -o "$out/article" "$out/main.swift" "${objects[@]}" -L "$library" -Xlinker -rpath -Xlinker "$library" -linterocitor_ffi
  "$out/article" >"$out/printed"
  for pattern in "$@"; do
    grep -qE "$pattern" "$out/printed" || { printf '%s does not print %s, but:\n' "$name" "$pattern"; cat "$out/printed"; exit 1; } >&2
  done
  [ -n "$(find "$out/folder/Todo" -name '*-chg_*')" ] || { echo "$name published nothing" >&2; exit 1; }
}

for name in GettingStarted Keys; do
  out="$all/$name"
  mkdir -p "$out/folder"
  case "$name" in
    GettingStarted)
      article "$name" '' 'Water the plants$' '^1 to do$' '^3 rows in one snapshot$' \
        '^another device joins with [1-9A-HJ-NP-Za-km-z]*$'
      ;;
    Keys)
      article "$name" "let phoneURL = URL(fileURLWithPath: \"$out/phone.db\")
let credentials = try FileCredentialStore(URL(fileURLWithPath: \"$out/keys\"), masterPassphrase: \"for the test alone\")" \
        '^this device shows ([0-9]{4} [0-9]{4} [0-9]{4}), the new one \1$' '^the new device has /Todo$' \
        '^word [0-9]+: right$' '^1 to do$'
      ! grep -q wrong "$out/printed"
      ;;
  esac
done
echo "docs: 2 passed, 0 failed"
