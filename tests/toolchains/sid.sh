# Rust with the sources of its standard library, from Debian sid: type-checks for Apple and Android, whose
# standard library, C compiler and system headers are not at hand. Sourced after chroot.sh.
#
#   sid_ready                         makes the chroot, once
#   sid_check TARGET ARGUMENT…        `cargo check` in the current folder for that target

# sid_ready : rustc, cargo and rust-src, all of one version. Sid changes every day and is now and then between
# two versions; a chroot that was good once is kept.
sid_ready() {
  chroot_ready sid sid rustc cargo rust-src || return 1
  local rustc source
  rustc="$(sid_version rustc)" && source="$(sid_version rust-src)" || return 1
  [ "$rustc" = "$source" ] && return 0
  # Not worth keeping: the next run tries again.
  rm -rf --one-file-system "$CACHE/sid"
  echo "Debian sid is between two versions of Rust today (rustc $rustc, rust-src $source): try again in a day or two" >&2
  return 1
}

sid_version() { dpkg-query --admindir="$CACHE/sid/var/lib/dpkg" --show --showformat='${Version}' "$1"; }

# sid_check TARGET ARGUMENT… : `cargo check` for TARGET, standard library included. Its dependencies come from
# the registry the first time, as ours do. C parts (SQLite, ring) are not compiled: `true` stands in for the C
# compiler, so build scripts get through and the Rust around the C is checked. Nothing is linked.
sid_check() {
  local target="$1" build="$CACHE/sid-build"
  shift
  mkdir -p "$build"
  # SDKROOT: the path is never read, but without one the build scripts ask for Xcode.
  chroot_run sid --bind "$build" --env CARGO_HOME="$build/cargo" --env CARGO_TARGET_DIR="$build/target" \
    --env RUSTC_BOOTSTRAP=1 --env TARGET_CC=true --env TARGET_AR=true --env SDKROOT=/usr \
    --env CARGO_TERM_COLOR=never --env CARGO_INCREMENTAL=0 --env CARGO_PROFILE_DEV_DEBUG=0 "$PWD" \
    cargo check --config 'profile.dev.package."*".opt-level=0' -Zbuild-std=std,panic_abort --target "$target" "$@"
}
