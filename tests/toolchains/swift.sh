# The Swift compiler, from Debian trixie. Sourced after chroot.sh.
#
#   swift_ready                                                 makes the chroot, once
#   swift_run [--bind PATH]… [--env NAME=VALUE]… DIR COMMAND…   runs a command beside the compiler
#   swift_scratch HEADER…                                       the folder for --scratch-path
#   swift_tally                                                 a filter that counts the tests of `swift test`

swift_ready() { chroot_ready swift trixie swiftlang libc6-dev; }

# swift_run … : as chroot_run, with the folder of swift_scratch at hand.
swift_run() {
  mkdir -p "$CACHE/swift-build" && chroot_run swift --bind "$CACHE/swift-build" "$@"
}

# swift_scratch HEADER… : prints a folder for build products, outside the tree. `swift build` does not see that
# a C header changed and keeps what it compiled against the old one, nor that a source is gone; the folder begins
# afresh when either happened.
swift_scratch() {
  local scratch="$CACHE/swift-build" stamp
  stamp="$(sha256sum "$@" && git ls-files swift Package.swift)" || return 1
  if [ "$(cat "$scratch/headers" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$scratch" && mkdir -p "$scratch" && printf '%s\n' "$stamp" >"$scratch/headers" || return 1
  fi
  printf '%s\n' "$scratch"
}

# swift_tally : passes the output of `swift test` on, and ends it with the line that tests/run.sh counts by.
swift_tally() {
  awk '
    { print; fflush() }
    /^✔ Test run with / || /^✘ Test run with / { next }
    /^Test Case .* passed \(/ || /^✔ Test .* passed after / { passed++ }
    /^Test Case .* failed \(/ || /^✘ Test .* failed after / { failed++ }
    /^Test Case .* skipped \(/ || /^[^ ]+ Test .* skipped(\.|: ".*")$/ { skipped++ }
    END { printf "swift: %d passed, %d failed, %d skipped\n", passed, failed, skipped }'
}
