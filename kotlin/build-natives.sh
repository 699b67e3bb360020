#!/usr/bin/env bash
# Builds the engine for the desktops that this machine can build for, into the jar
# (kotlin/interocitor/target/interocitor-*.jar), under the names by which JNA finds them.
#
#   bash kotlin/build-natives.sh [RUST_TARGET…]      by default: this machine's own, and both of a Mac
#
# Libraries from other machines (of a CI, say) may be put into kotlin/interocitor/target/natives/PLATFORM/ before.
set -euo pipefail
cd "$(dirname "$0")/.."

place() {
  case "$1" in
    x86_64-unknown-linux-gnu) echo linux-x86-64/libinterocitor_ffi.so ;;
    aarch64-unknown-linux-gnu) echo linux-aarch64/libinterocitor_ffi.so ;;
    x86_64-apple-darwin) echo darwin-x86-64/libinterocitor_ffi.dylib ;;
    aarch64-apple-darwin) echo darwin-aarch64/libinterocitor_ffi.dylib ;;
    x86_64-pc-windows-msvc | x86_64-pc-windows-gnu) echo win32-x86-64/interocitor_ffi.dll ;;
    aarch64-pc-windows-msvc) echo win32-aarch64/interocitor_ffi.dll ;;
    *) echo "no desktop that JNA knows: $1" >&2; return 1 ;;
  esac
}

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  targets=("$(rustc -vV | sed -n 's/^host: //p')")
  [ "$(uname)" != Darwin ] || targets=(aarch64-apple-darwin x86_64-apple-darwin)
fi

for target in "${targets[@]}"; do
  where="kotlin/interocitor/target/natives/$(place "$target")"
  cargo build --release -p interocitor-ffi --target "$target"
  mkdir -p "$(dirname "$where")"
  cp "${CARGO_TARGET_DIR:-target}/$target/release/$(basename "$where")" "$where"
done

# Only what lies in natives: a debug build of this machine is not packed.
mvn -q -B -f kotlin -Dnative.folder="$PWD/kotlin/interocitor/target/none" package
unzip -l kotlin/interocitor/target/interocitor-*.jar | grep interocitor_ffi
