#!/usr/bin/env bash
# Builds the engine for Apple platforms: swift/build/InterocitorFFI.xcframework, and the same zipped for a release.
# Needs a Mac with Xcode, and Rust with rustup. It was never run so far: there is no Mac where this was written.
#
#   bash swift/build-xcframework.sh [FEATURES]
#
# FEATURES: of interocitor-ffi, with commas, in place of its default ones; bindings/README.md says what each costs.
set -euo pipefail
cd "$(dirname "$0")/.."

export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0
targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin)
name=InterocitorFFI
library=libinterocitor_ffi.a
build=swift/build
rust="${CARGO_TARGET_DIR:-target}"

[ "$(uname)" = Darwin ] || { echo "only a Mac with Xcode can build an xcframework" >&2; exit 1; }
rustup target add "${targets[@]}"
features=()
[ $# -eq 0 ] || features=(--no-default-features --features "$1")
for target in "${targets[@]}"; do
  # One crate type: beside a Rust library rustc leaves the optimisation over all crates out.
  cargo rustc --profile mobile -p interocitor-ffi --lib --crate-type staticlib --target "$target" ${features[@]+"${features[@]}"}
done

rm -rf "$build"
# A folder of its own within the headers: a module map at their top would collide with that of every other library.
headers="$build/headers/$name"
mkdir -p "$headers"
cp "swift/Sources/$name/$name.h" "swift/Sources/$name/module.modulemap" "$headers/"

# fat NAME TARGET… : the library of one platform, for all its processors.
fat() {
  local platform="$1" parts=()
  shift
  for target in "$@"; do parts+=("$rust/$target/mobile/$library"); done
  mkdir -p "$build/$platform"
  lipo -create "${parts[@]}" -output "$build/$platform/$library"
}
fat ios aarch64-apple-ios
fat ios-simulator aarch64-apple-ios-sim x86_64-apple-ios
fat macos aarch64-apple-darwin x86_64-apple-darwin

slices=()
for platform in ios ios-simulator macos; do
  slices+=(-library "$build/$platform/$library" -headers "$build/headers")
done
xcodebuild -create-xcframework "${slices[@]}" -output "$build/$name.xcframework"

(cd "$build" && ditto -c -k --keepParent "$name.xcframework" "$name.xcframework.zip")
echo "for Package.swift: checksum $(swift package compute-checksum "$build/$name.xcframework.zip")"
du -sh "$build/$name.xcframework" "$build/$name.xcframework.zip"
