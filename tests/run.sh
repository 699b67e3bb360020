#!/usr/bin/env bash
# Runs the checks of this repository on a Debian machine, installing what they need (as root, with apt).
#
#   bash tests/run.sh              everything
#   bash tests/run.sh core cli     these parts only
#   bash tests/run.sh size         by argument only: the size of the library and its budget
#
# Needs: Rust (see rust-version in Cargo.toml), Node.js and Python 3. Everything else is installed here;
# tools built from source are kept in $XDG_CACHE_HOME/interocitor.
set -uo pipefail
cd "$(dirname "$0")/.."

ALL=(lint crypto core simulation crash peers sqlcipher bindings cli keychain mailboxes disks swift kotlin mixed apple-check android-check)
PARTS=("$@")
[ ${#PARTS[@]} -gt 0 ] || PARTS=("${ALL[@]}")
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/interocitor"
LOGS="$(mktemp -d)"
mkdir -p "$CACHE"
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0

finish() {
  # Parts run in subshells: what they started is noted in a file.
  [ -f "$LOGS/pids" ] && xargs -r kill <"$LOGS/pids" 2>/dev/null
  rm -rf "$LOGS"
}
trap finish EXIT

. tests/toolchains/chroot.sh
. tests/toolchains/swift.sh
. tests/toolchains/part_swift.sh
. tests/toolchains/sid.sh

say() { printf '\n== %s\n' "$*"; }

# apt NAME… : installs Debian packages that are missing.
apt() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  [ -n "${APT_UPDATED:-}" ] || { apt-get update -qq && APT_UPDATED=1; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A Python with what reference.py needs, first on the PATH.
python_ready() {
  if ! "$CACHE/python/bin/python3" -c 'import cryptography' 2>/dev/null; then
    python3 -c 'import ensurepip' 2>/dev/null || apt python3-venv
    rm -rf "$CACHE/python"
    python3 -m venv "$CACHE/python" && "$CACHE/python/bin/pip" install -q --disable-pip-version-check cryptography
  fi
  export PATH="$CACHE/python/bin:$PATH"
}

compiler_ready() {
  command -v cargo >/dev/null || { echo "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer" >&2; return 1; }
  command -v cc >/dev/null || apt build-essential
}

# A free port on the loopback interface.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

part_lint() {
  rustup component list 2>/dev/null | grep -q 'clippy.*(installed)' || rustup component add clippy rustfmt 2>/dev/null
  cargo fmt --all --check && openssl_ready &&
  cargo clippy --workspace --all-targets --all-features -- -D warnings &&
  # What apps build: with other features other code is unused.
  cargo clippy -p interocitor-ffi -p interocitor-cli -- -D warnings && cargo clippy -p interocitor-core --no-default-features -- -D warnings &&
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet &&
  deny_ready && "$CACHE/deny/bin/cargo-deny" --log-level error check bans licenses sources &&
  echo "lint: 5 passed, 0 failed"
}

deny_ready() {
  [ -x "$CACHE/deny/bin/cargo-deny" ] && return 0
  # Built outside the tree, at the least effort: it is run once.
  CARGO_TARGET_DIR="$CACHE/deny/target" CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
    cargo install --quiet --locked --root "$CACHE/deny" --no-default-features cargo-deny && rm -rf "$CACHE/deny/target"
}

part_crypto() { cargo test -p interocitor-crypto; }

# Every target of core/tests but those with a part of their own.
part_core() {
  local file name targets=()
  for file in core/tests/*.rs; do
    name="$(basename "$file" .rs)"
    case "$name" in at_rest | cloudflare | crash | disks | drive | keychain | mailboxes | peers | s3 | watching | webdav) ;; *) targets+=(--test "$name") ;; esac
  done
  python_ready && cargo test -p interocitor-core --lib && cargo test -p interocitor-core --doc && cargo test -p interocitor-core "${targets[@]}"
}

# Processes that are killed at random moments; CRASH_KILLS=2000 CRASH_SEED=7 for more and others.
part_crash() { python_ready && cargo test -p interocitor-core --test crash; }

# Meshes by seed, 300 of them; more with SIMULATION_SEEDS=2000. See tests/simulation/README.md.
part_simulation() { python_ready && cargo test --profile sim -p interocitor-simulation; }

# What building SQLCipher's OpenSSL takes.
openssl_ready() { command -v perl >/dev/null && command -v make >/dev/null || apt perl make; }

# The store encrypted at rest.
part_sqlcipher() {
  openssl_ready && cargo test -p interocitor-core --features sqlcipher --lib store && cargo test -p interocitor-core --features sqlcipher --test at_rest
}

part_peers() {
  command -v node >/dev/null || apt nodejs
  cargo test -p interocitor-core --test peers
}

# The interface for other languages, and whether the sources in the tree are those that it gives.
part_bindings() {
  local fresh="$LOGS/generated"
  cargo test -p interocitor-ffi && bash bindings/generate.sh "$fresh" || return 1
  local folder
  for folder in swift/Sources/InterocitorBindings swift/Sources/InterocitorFFI kotlin/interocitor/src/generated; do
    diff -r "$folder" "$fresh/$folder" >"$LOGS/difference" && continue
    head -n 40 "$LOGS/difference"
    echo "$folder is not what bindings/src/interocitor.udl gives: run bash bindings/generate.sh" >&2
    return 1
  done
  echo "bindings: 1 passed, 0 failed (the generated sources are up to date)"
}

part_cli() { python_ready && cargo test -p interocitor-cli; }

# Credentials in a real keyring of a Linux desktop, one that is locked, and none at all.
part_keychain() {
  apt dbus-daemon gnome-keyring || return 1
  local home="$LOGS/keychain" test
  mkdir -m 700 "$home" "$home/run" "$home/data" || return 1
  cargo test -p interocitor-core --features adapter-tests,secret-service --test keychain --no-run &&
  test="$(cargo test -q -p interocitor-core --features adapter-tests,secret-service --test keychain --no-run --message-format json |
    python3 -c 'import json, sys; print(*[m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")])')" || return 1
  # In folders of its own, with the keyring of an empty password, and again with one that nobody unlocked.
  in_session() { XDG_RUNTIME_DIR="$home/run" XDG_DATA_HOME="$home/data" dbus-run-session -- bash -c "$1" "$0" "$test"; }
  in_session 'printf "\n" | gnome-keyring-daemon --unlock --components=secrets >/dev/null && "$1" --ignored unlocked' &&
  in_session 'gnome-keyring-daemon --start --components=secrets >/dev/null && "$1" --ignored still_locked' &&
  DBUS_SESSION_BUS_ADDRESS="unix:path=$home/none" "$test" --ignored nobody_answers
}

# start SCRIPT ARGUMENT… : runs a server until the end of this script; its first line is the URL.
start() {
  local out="$LOGS/$(basename "$1").$2.out"
  bash "$@" >"$out" 2>"$out.err" &
  echo $! >>"$LOGS/pids"
  for _ in $(seq 100); do
    URL="$(head -n 1 "$out" 2>/dev/null)"
    [ -n "$URL" ] && return 0
    sleep 0.1
  done
  cat "$out.err" >&2
  return 1
}

# versitygw, an S3 service in Go. Where there is no Go that can build it, Debian sid has one.
versitygw_ready() {
  local version=v1.8.0 folder="$CACHE/versitygw-v1.8.0"
  export PATH="$folder:$PATH"
  [ -x "$folder/versitygw" ] && return 0
  local build=(env CGO_ENABLED=0 "GOPATH=$folder.part" "GOBIN=$folder.part/bin" go install -trimpath -ldflags '-s -w'
    "github.com/versity/versitygw/cmd/versitygw@$version")
  mkdir -p "$folder" "$folder.part" || return 1
  if [[ "$(go version 2>/dev/null)" =~ go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 25 ]; then
    "${build[@]}"
  else
    chroot_ready golang sid golang-go && chroot_run golang --bind "$folder.part" "$folder.part" "${build[@]}"
  fi && mv "$folder.part/bin/versitygw" "$folder/" || return 1
  # Go protects the sources of modules against writing.
  chmod -R u+w "$folder.part" && rm -rf "$folder.part"
}

# The packages of the reference Worker for Cloudflare, in a folder of their own.
worker_ready() {
  local folder="$CACHE/cloudflare-worker" source=tests/cloudflare-worker
  command -v npm >/dev/null || apt nodejs npm || return 1
  cmp -s "$source/package-lock.json" "$folder/installed" && return 0
  mkdir -p "$folder" && cp "$source/package.json" "$source/package-lock.json" "$folder/" &&
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel error) && cp "$source/package-lock.json" "$folder/installed"
}

# Every mailbox against its real server, through one suite, and one table of what each does.
part_mailboxes() {
  apt apache2 libnginx-mod-http-dav-ext nginx-light rclone openssl && python_ready && versitygw_ready && worker_ready || return 1
  local core=(-p interocitor-core --features adapter-tests,cloudflare,drive,s3,watch)
  start tests/webdav/apache.sh "$(free_port)" && export WEBDAV_APACHE_URL="$URL" &&
  start tests/webdav/apache.sh "$(free_port)" digest && export WEBDAV_DIGEST_URL="$URL" &&
  start tests/webdav/nginx.sh "$(free_port)" && export WEBDAV_NGINX_URL="$URL" &&
  start tests/webdav/rclone.sh "$(free_port)" && export WEBDAV_RCLONE_URL="$URL" &&
  start tests/s3/versitygw.sh "$(free_port)" && export S3_VERSITYGW_URL="$URL" &&
  start tests/cloudflare-worker/serve.sh "$(free_port)" "$CACHE/cloudflare-worker" && export CLOUDFLARE_WORKER_URL="$URL" &&
  (cd "$CACHE/cloudflare-worker" && npm run --silent check) &&
  cargo test "${core[@]}" --lib mailbox &&
  cargo test "${core[@]}" --test cloudflare --test drive --test s3 --test watching --test webdav &&
  cargo test "${core[@]}" --test large_files -- --ignored --nocapture &&
  cargo run -q "${core[@]}" --example own_mailbox &&
  cargo test -p interocitor-cli --test cli _over_ -- --ignored && cargo test -p interocitor-cli --test cli drive &&
  cargo test "${core[@]}" --test mailboxes -- --nocapture
}

# The Kotlin package for the JVM and for Android, and its examples.
part_kotlin() {
  command -v javac >/dev/null || apt openjdk-17-jdk-headless || return 1
  command -v mvn >/dev/null || apt maven || return 1
  cargo build -p interocitor-ffi && rm -rf kotlin/*/target/surefire-reports kotlin/examples/*/target/surefire-reports &&
  # A server for what the platform uploads.
  apt rclone && start tests/webdav/rclone.sh "$(free_port)" &&
  WEBDAV_URL="$URL" mvn -q -B -Dstyle.color=never -f kotlin/pom.xml test || return 1
  # Quiet on success, but for a colour that it resets: the reports know how many there were.
  cat kotlin/*/target/surefire-reports/*.xml kotlin/examples/*/target/surefire-reports/*.xml |
    grep -o '<testsuite [^>]*' | grep -o ' tests="[0-9]*"' |
    awk -F'"' '{ n += $2 } END { print "\nkotlin: " n " passed, 0 failed" }'
}

# Every scenario with its devices dealt to Swift, Kotlin and the command line. Builds on the parts swift and kotlin.
part_mixed() {
  local library="${CARGO_TARGET_DIR:-$PWD/target}/debug" kit="$CACHE/swift-build/kit/debug/interocitor-driver"
  local kotlin="$PWD/kotlin/interocitor/target" run="$LOGS/mixed"
  [ -x "$kit" ] && [ -f "$kotlin/test.classpath" ] || { echo "run the parts swift and kotlin first" >&2; return 1; }
  # One by one, as the other parts build them: together they would get other features, and be built anew.
  cargo build -p interocitor-ffi && cargo build -p interocitor-cli && mkdir -p "$run" || return 1
  # The Swift driver lives in its chroot; what it shares with the others is bound into it.
  cat >"$run/swift" <<END
#!/usr/bin/env bash
CACHE="$CACHE"
. "$PWD/tests/toolchains/chroot.sh"
. "$PWD/tests/toolchains/swift.sh"
swift_run --bind "$library" --bind "$run" "$PWD" "\${@:-$kit}"
END
  local classpath
  classpath="$kotlin/test-classes:$kotlin/classes:$(cat "$kotlin/test.classpath")"
  local INTEROCITOR_DRIVERS
  export INTEROCITOR_DRIVERS="{\"swift\":[\"bash\",\"$run/swift\"],\"kotlin\":[\"java\",\"-cp\",\"$classpath\",\"dev.interocitor.scenario.Driver\"],\"cli\":[\"$library/interocitor\"]}"
  TMPDIR="$run" cargo test -p interocitor-core --test scenarios mixed -- --exact --ignored || return 1
  # Once more through a server, which serves the folder that the scenarios lie in.
  apt rclone && start tests/webdav/rclone.sh "$(free_port)" "$run" || return 1
  SCENARIOS_WEBDAV="$URL" TMPDIR="$run" cargo test -p interocitor-core --test scenarios mixed -- --exact --ignored || return 1
  printf '%s\n' bash "$run/swift" "${kit%/*}/todo" >"$run/swift.command"
  printf '%s\n' java -cp "$PWD/kotlin/examples/todo/target/classes:$classpath" dev.interocitor.examples.todo.MainKt >"$run/kotlin.command"
  mkdir "$run/terminals" && bash tests/two_terminals.sh "$run/terminals" "$run/swift.command" "$run/kotlin.command"
}

# type_check NAME TARGET… : all that goes into the packages, checked for machines that are not at hand.
type_check() {
  local name="$1" target
  shift
  sid_ready || return 1
  for target in "$@"; do
    sid_check "$target" --locked -p interocitor-crypto -p interocitor-core -p interocitor-ffi || return 1
  done
  echo "$name: $# passed, 0 failed"
}

part_apple-check() { type_check apple aarch64-apple-ios aarch64-apple-darwin; }

part_android-check() { type_check android aarch64-linux-android armv7-linux-androideabi; }

# The library as phones get it, with its budgets: of the engine alone, and of everything that is in it by default. By
# argument only: it is a long build.
part_size() {
  local budget=6000000 most=11500000 all=adapter-tests,cloudflare,drive,s3,thumbnails,webdav whole feature without
  openssl_ready && printf '%-36s %10s\n' features bytes && whole="$(size_of default)" || return 1
  for feature in ${all//,/ }; do
    without="$(size_of --no-default-features --features "$(tr , '\n' <<<"$all" | grep -vx "$feature" | paste -sd,)")" || return 1
    printf '%-36s %10s\n' "cost of $feature" "$((whole - without))"
  done
  feature="$(size_of --features sqlcipher)" && printf '%-36s %10s\n' "cost of sqlcipher" "$((feature - whole))" &&
  without="$(size_of --no-default-features)" && printf '%-36s %10s\n' "without all of them" "$without" || return 1
  [ "$without" -le "$budget" ] || { echo "the engine has $without bytes, its budget is $budget" >&2; return 1; }
  [ "$whole" -le "$most" ] || { echo "the library has $whole bytes, its budget is $most" >&2; return 1; }
  echo "size: 2 passed, 0 failed (budgets $budget and $most)"
}

# size_of default|ARGUMENT… : bytes of the library as phones get it; a line of the table on standard error.
size_of() {
  local bytes arguments=("$@")
  [ "$1" = default ] && arguments=()
  # One crate type: beside a Rust library rustc leaves the optimisation over all crates out.
  cargo rustc --quiet -p interocitor-ffi --profile mobile --lib --crate-type cdylib "${arguments[@]}" >&2 && strip -o "$LOGS/stripped.so" target/mobile/libinterocitor_ffi.so || return 1
  bytes="$(stat -c %s "$LOGS/stripped.so")"
  printf '%-36s %10s\n' "$*" "$bytes" >&2
  echo "$bytes"
}

# Stores on a disk that is full or read-only: real ones, on small file systems of their own.
part_disks() {
  local disk="$LOGS/disk"
  mkdir -p "$disk" && mount -t tmpfs -o size=2m tmpfs "$disk" || return 1
  SMALL_DISK="$disk" cargo test -p interocitor-core --features disk-tests --test disks
  local outcome=$?
  umount "$disk"
  return $outcome
}

# Number of tests that a log tells of.
counted() {
  awk '/^test result: / { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^passed/) n += $i } /^[a-z]+: [0-9]+ passed, / { n += $2 } END { print n + 0 }' "$1"
}

compiler_ready || exit 1
table=()
failed=0
for part in "${PARTS[@]}"; do
  if ! declare -F "part_$part" >/dev/null; then
    echo "no part is called '$part'; there are: ${ALL[*]}" >&2
    exit 2
  fi
  say "$part"
  begin=$SECONDS
  "part_$part" 2>&1 | tee "$LOGS/$part.log"
  outcome=${PIPESTATUS[0]}
  tests="$(counted "$LOGS/$part.log")"
  # A part without a single test has not done its work.
  if [ "$outcome" -eq 0 ] && [ "$tests" -gt 0 ]; then verdict=ok; else verdict=FAILED; failed=1; fi
  table+=("$(printf '%-14s %8s %9s   %s' "$part" "$tests" "$((SECONDS - begin))" "$verdict")")
done

say "summary"
grep -h '^test result: ' "$LOGS"/*.log
printf '\n%-14s %8s %9s\n' part tests seconds
printf '%s\n' "${table[@]}"
exit $failed
