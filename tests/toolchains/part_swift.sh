# The part `swift` of tests/run.sh. Sourced after swift.sh.

# part_swift : builds the package and its examples, runs its tests and the scenarios, compiles and runs the article,
# and type-checks what is for Apple's frameworks.
part_swift() {
  local library="${CARGO_TARGET_DIR:-$PWD/target}/debug" scratch status
  swift_ready && cargo build -p interocitor-ffi || return 1
  scratch="$(swift_scratch swift/Sources/InterocitorFFI/InterocitorFFI.h)" || return 1
  local options=(--scratch-path "$scratch/kit" -Xlinker "-L$library" -Xlinker -rpath -Xlinker "$library")
  mkdir -p "$scratch/kit"
  swift_run --bind "$library" "$PWD" swift build --build-tests "${options[@]}" || return 1
  # A server for what the platform uploads.
  apt rclone && start tests/webdav/rclone.sh "$(free_port)" || return 1
  # Nothing may hang: a test that waits for what never comes is a failure.
  swift_run --bind "$library" --env "WEBDAV_URL=$URL" "$PWD" timeout -k 5 300 swift test --skip-build --disable-xctest "${options[@]}" | swift_tally
  status=${PIPESTATUS[0]}
  [ "$status" -eq 0 ] &&
    swift_run --bind "$library" "$PWD" bash swift/Tests/docs.sh "$scratch/kit" "$library" &&
    swift_run --bind "$library" "$PWD" bash swift/Tests/quick-start.sh "$scratch/kit" &&
    swift_run --bind "$library" "$PWD" bash swift/Tests/todo.sh "$scratch/kit" &&
    swift_run "$PWD" bash swift/Shims/check.sh "$scratch/kit"
}
