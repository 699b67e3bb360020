#!/usr/bin/env bash
# Builds the engine for Android and the AAR with it: kotlin/android/target/interocitor-android.aar.
#
#   bash kotlin/build-android.sh [FEATURES]
#
# FEATURES: of interocitor-ffi, with commas, in place of its default ones; bindings/README.md says what each costs.
# Needs an NDK (r28 or newer) in ANDROID_NDK_HOME, cargo-ndk, and the four targets of rustup.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${ANDROID_NDK_HOME:?set it to the folder of an Android NDK, r28 or newer}"
command -v cargo-ndk >/dev/null || { echo "cargo-ndk is missing: cargo install cargo-ndk" >&2; exit 1; }

abis=(arm64-v8a armeabi-v7a x86_64 x86)
targets=(aarch64-linux-android armv7-linux-androideabi x86_64-linux-android i686-linux-android)
for target in "${targets[@]}"; do
  rustup target list --installed | grep -qx "$target" || rustup target add "$target"
done

# Devices with pages of 16 KB refuse libraries that are aligned to less.
export RUSTFLAGS="${RUSTFLAGS:-} -C link-arg=-Wl,-z,max-page-size=16384"
rust="${CARGO_TARGET_DIR:-target}"
jni="$PWD/kotlin/android/target/jni"
rm -rf "$jni"
features=()
[ $# -eq 0 ] || features=(--no-default-features --features "$1")
for index in "${!abis[@]}"; do
  # One crate type: beside a Rust library rustc leaves the optimisation over all crates out.
  cargo ndk -t "${abis[$index]}" --platform 24 rustc --profile mobile -p interocitor-ffi --lib --crate-type cdylib "${features[@]}"
  mkdir -p "$jni/${abis[$index]}"
  cp "$rust/${targets[$index]}/mobile/libinterocitor_ffi.so" "$jni/${abis[$index]}/"
done

readelf="$(find "$ANDROID_NDK_HOME" -name llvm-readelf -type f -o -name llvm-readelf -type l | head -n 1)"
strip="$(find "$ANDROID_NDK_HOME" -name llvm-strip -type f -o -name llvm-strip -type l | head -n 1)"
for abi in "${abis[@]}"; do
  library="$jni/$abi/libinterocitor_ffi.so"
  [ -f "$library" ] || { echo "$library was not built" >&2; exit 1; }
  # Symbols for crash reports stay beside the AAR.
  mkdir -p "kotlin/android/target/symbols/$abi"
  cp "$library" "kotlin/android/target/symbols/$abi/"
  "$strip" --strip-unneeded "$library"
  if "$readelf" -lW "$library" | awk '$1 == "LOAD" && strtonum($NF) < 16384 { bad = 1 } END { exit !bad }'; then
    echo "$library is not aligned to 16 KB pages" >&2
    exit 1
  fi
done

cargo rustc --profile mobile -p interocitor-ffi --lib --crate-type cdylib "${features[@]}"
mvn -q -B -f kotlin -Dnative.folder="$(realpath "$rust/mobile")" -DskipTests package
ls -l kotlin/android/target/interocitor-android.aar
