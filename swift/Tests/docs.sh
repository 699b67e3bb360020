#!/usr/bin/env bash
# Compiles and runs the code of the getting-started article as it stands there.
#
#   bash swift/Tests/docs.sh BUILD LIBRARY     BUILD: the scratch folder of a finished `swift build`;
#                                              LIBRARY: the folder of libinterocitor_ffi.so
set -euo pipefail
build="$(cd "$1" && pwd)/debug"
library="$(cd "$2" && pwd)"
cd "$(dirname "$0")/../Sources"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
mkdir "$out/folder"
{
  echo 'import Foundation'
  echo 'import InterocitorKit'
  echo "let storeURL = URL(fileURLWithPath: \"$out/todo.db\"), folderURL = URL(fileURLWithPath: \"$out/folder\")"
  awk '/^```swift$/ { code = 1; next } /^```$/ { code = 0 } code' InterocitorKit/InterocitorKit.docc/GettingStarted.md
} >"$out/main.swift"
objects=("$build"/InterocitorKit.build/*.o "$build"/InterocitorBindings.build/*.o)
# Without a warning, too: it is what people copy.
swiftc -swift-version 6 -warnings-as-errors -I "$build/Modules" -I InterocitorFFI -module-cache-path "$out/cache" \
  -o "$out/article" "$out/main.swift" "${objects[@]}" -L "$library" -Xlinker -rpath -Xlinker "$library" -linterocitor_ffi
"$out/article" >"$out/printed"
grep -q 'Water the plants$' "$out/printed" && grep -q '^1 to do$' "$out/printed" &&
  grep -q '^3 rows in one snapshot$' "$out/printed" &&
  grep -q '^another device joins with [1-9A-HJ-NP-Za-km-z]*$' "$out/printed" || { cat "$out/printed" >&2; exit 1; }
[ -n "$(find "$out/folder/Todo" -name '*-chg_*')" ] || { echo "the article published nothing" >&2; exit 1; }
echo "docs: 1 passed, 0 failed"
