#!/usr/bin/env bash
# Type-checks what needs Apple's frameworks (InterocitorKit's platform parts and the SwiftUI sample) against hand-written
# declarations of what they use of them. It finds mistakes in our code; that the declarations are those of Apple's SDK
# only Xcode can tell.
#
#   bash swift/Shims/check.sh BUILD     BUILD: the scratch folder of a finished `swift build`
set -euo pipefail
cd "$(dirname "$0")"
build="$(cd "$1" && pwd)/debug"
ffi="$PWD/../Sources/InterocitorFFI"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
options=(-swift-version 6 -I "$out" -I "$build/Modules" -I "$ffi" -module-cache-path "$out/cache" -warnings-as-errors)

module() { swiftc "${options[@]}" -parse-as-library -emit-module -module-name "$1" -o "$out/$1.swiftmodule" "${@:2}"; }
for shim in Combine UIKit BackgroundTasks Network SwiftUI; do module "$shim" "$shim/$shim.swift"; done
mapfile -t kit < <(find ../Sources/InterocitorKit -name '*.swift' | sort)
module InterocitorKit "${kit[@]}"
swiftc "${options[@]}" -typecheck -parse-as-library ../Examples/TodoApp/*.swift

# A check that finds nothing is none: each of these mistakes must be found.
for mistake in \
  'import InterocitorKit; import SwiftUI; struct V: View { @LiveQuery({ $0.table("t").query() }) var rows; var body: some View { Text(rows) } }' \
  'import InterocitorKit; func f() { BackgroundSync.register("x") { 1 } }' \
  'import InterocitorKit; func f() { _ = NetworkMonitor(1) }' \
  'import InterocitorKit; @MainActor func f(_ db: Interocitor) { DatabaseModel(db).status = nil }'; do
  printf '%s\n' "$mistake" >"$out/mistake.swift"
  if swiftc "${options[@]}" -typecheck -parse-as-library "$out/mistake.swift" 2>"$out/mistake.log"; then
    echo "the type-check passed over a mistake: $mistake" >&2
    exit 1
  fi
  grep -q "error: \(initializer\|no exact\|cannot convert\|cannot assign\)" "$out/mistake.log" || { cat "$out/mistake.log" >&2; exit 1; }
done
echo "shims: 6 passed, 0 failed"
