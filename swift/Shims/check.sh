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
mkdir "$out/mac" "$out/phone"

# on SYSTEM: what is compiled from here on finds this one's shims.
on() { options=(-swift-version 6 -I "$out/$1" -I "$build/Modules" -I "$ffi" -module-cache-path "$out/cache" -warnings-as-errors) system="$1"; }
module() { swiftc "${options[@]}" -parse-as-library -emit-module -module-name "$1" -o "$out/$system/$1.swiftmodule" "${@:2}"; }
mapfile -t kit < <(find ../Sources/InterocitorKit -name '*.swift' | sort)

on mac
for shim in Combine CoreGraphics ImageIO AppKit Network SwiftUI; do module "$shim" "$shim/$shim.swift"; done
module InterocitorKit "${kit[@]}"
cat >"$out/mac.swift" <<'END'
import AppKit
import InterocitorKit
import SwiftUI

@MainActor final class Photos {
  var shown: NSImage?
  func load(_ db: Interocitor) async throws { shown = try await db.nsImage("a.jpg", thumbnail: 256) }
  func store(_ db: Interocitor) async throws { if let shown { try await db.putImage("b.png", .nsImage(shown, as: .png)) } }
}
END
swiftc "${options[@]}" -typecheck -parse-as-library "$out/mac.swift"

on phone
for shim in Combine CoreGraphics ImageIO UIKit BackgroundTasks Network SwiftUI; do module "$shim" "$shim/$shim.swift"; done
module InterocitorKit "${kit[@]}"
swiftc "${options[@]}" -typecheck -parse-as-library ../Examples/TodoApp/*.swift
cat >"$out/phone.swift" <<'END'
import InterocitorKit
import SwiftUI
import UIKit

struct Photo: View {
  let db: Interocitor
  var body: some View {
    StoredImage(db, "a.jpg", thumbnail: 256).scaledToFit().frame(width: 128)
    StoredImage(db, "a.jpg", digest: "0") { $0.resizable().scaledToFill() } placeholder: { ProgressView() }
    StoredImage(db, "a.jpg") { phase in if case .failure(let error) = phase { Text(error.localizedDescription) } }
  }
}

@MainActor func move(_ db: Interocitor) async throws -> Image {
  try await db.putImage("b.jpg", .uiImage(db.uiImage("a.jpg"), as: .jpeg(quality: 0.5)))
  return try await db.swiftUIImage("b.jpg", thumbnail: 64)
}
END
swiftc "${options[@]}" -typecheck -parse-as-library "$out/phone.swift"
# The article with its view, which the tests of the articles leave out.
{
  printf 'import %s\n' Foundation InterocitorKit
  echo 'let storeURL = URL(fileURLWithPath: ""), folderURL = storeURL, photoURL = storeURL'
  awk '/^```swift$/ { code = 1; next } /^```$/ { code = 0 } code' ../Sources/InterocitorKit/InterocitorKit.docc/Images.md
} >"$out/main.swift"
swiftc "${options[@]}" -typecheck "$out/main.swift"

# A check that finds nothing is none: each of these mistakes must be found.
for mistake in \
  'import InterocitorKit; import SwiftUI; struct V: View { @LiveQuery({ $0.table("t").query() }) var rows; var body: some View { Text(rows) } }' \
  'import InterocitorKit; func f() { BackgroundSync.register("x") { 1 } }' \
  'import InterocitorKit; func f() { _ = NetworkMonitor(1) }' \
  'import InterocitorKit; @MainActor func f(_ db: Interocitor) { DatabaseModel(db).status = nil }' \
  'import InterocitorKit; import SwiftUI; func f(_ db: Interocitor) async throws { let _: Image = try await db.uiImage("a") }'; do
  printf '%s\n' "$mistake" >"$out/mistake.swift"
  if swiftc "${options[@]}" -typecheck -parse-as-library "$out/mistake.swift" 2>"$out/mistake.log"; then
    echo "the type-check passed over a mistake: $mistake" >&2
    exit 1
  fi
  grep -q "error: \(initializer\|no exact\|cannot convert\|cannot assign\)" "$out/mistake.log" || { cat "$out/mistake.log" >&2; exit 1; }
done
echo "shims: 11 passed, 0 failed"
