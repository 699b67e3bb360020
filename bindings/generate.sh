#!/usr/bin/env bash
# Generates the Swift and Kotlin sources from the built library, into the tree or into FOLDER.
#
#   bash bindings/generate.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
into="${1:-.}"
cargo build --quiet -p interocitor-ffi --features bindgen
target="${CARGO_TARGET_DIR:-target}/debug"
library="$target/libinterocitor_ffi.so"
[ -f "$library" ] || library="$target/libinterocitor_ffi.dylib"

swift() { "$target/uniffi-bindgen-swift" --config uniffi.toml "$@"; }
swift --swift-sources "$library" "$into/swift/Sources/InterocitorBindings"
swift --headers "$library" "$into/swift/Sources/InterocitorFFI"
swift --modulemap --module-name InterocitorFFI --modulemap-filename module.modulemap "$library" "$into/swift/Sources/InterocitorFFI"
"$target/uniffi-bindgen" generate --language kotlin --no-format --config uniffi.toml \
  --out-dir "$into/kotlin/interocitor/src/generated/kotlin" "$library"
