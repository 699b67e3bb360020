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
trap 'echo "line $LINENO of docs.sh is not so for ${name:-it}" >&2' ERR

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
  [ -n "$(find "$out/folder/Todo" -name '*-chg_*' -o -path '*/files/*' -type f)" ] || { echo "$name published nothing" >&2; exit 1; }
}

for name in GettingStarted Keys Files Images Mailboxes; do
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
    Files)
      printf 'ten bytes.' >"$out/scan.pdf"
      article "$name" "let scanURL = URL(fileURLWithPath: \"$out/scan.pdf\"), copyURL = URL(fileURLWithPath: \"$out/copy.pdf\")" \
        '^10 bytes of application/pdf$' '^0 files wait$' '^receipts/may.pdf stays here$'
      # Files are up before anyone watches, or not: that progress is told has tests of its own.
      grep -v ' [0-9]* %$' "$out/printed" | wc -l | grep -qx 3
      cmp "$out/scan.pdf" "$out/copy.pdf"
      ;;
    Images)
      # One grey pixel.
      base64 -d >"$out/photo.png" <<<iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==
      article "$name" "let photoURL = URL(fileURLWithPath: \"$out/photo.png\")" \
        '^67 bytes of image/png$' '^1 x 1 pixels of image/jpeg$' '^41 bytes in the clear$'
      ;;
    Mailboxes)
      mkdir "$out/backup"
      article "$name" "let backupURL = URL(fileURLWithPath: \"$out/backup\"), archiveURL = URL(fileURLWithPath: \"$out/archive\")
let restoredURL = URL(fileURLWithPath: \"$out/restored.db\"), spoolURL = URL(fileURLWithPath: \"$out/spool\")" \
        '^webdav hands large files on$' \
        '^backup has [1-9][0-9]* files, 0 are damaged$' '^1 rows and 0 files went out$' '^1 rows came back$'
      [ -f "$out/backup/Todo/manifest.json" ] && grep -q '"interocitor-archive"' "$out/archive"
      ;;
  esac
done
echo "docs: 5 passed, 0 failed"
