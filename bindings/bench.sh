#!/usr/bin/env bash
# The bench table of bindings/README.md: the same work in Rust, Swift and Kotlin, one after another, on a release
# library. Takes a quarter of an hour; run the parts swift and kotlin of tests/run.sh first.
#
#   bash bindings/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/interocitor"
. tests/toolchains/chroot.sh
. tests/toolchains/swift.sh
library="${CARGO_TARGET_DIR:-$PWD/target}/release"
cargo build --quiet --release -p interocitor-ffi --example ground
# One crate type: beside a Rust library rustc leaves the optimisation over all crates out.
cargo rustc --quiet --release -p interocitor-ffi --lib --crate-type cdylib
scratch="$CACHE/swift-build/bench"
swift=(swift_run --bind "$library" "$PWD")
"${swift[@]}" swift build -c release --product interocitor-bench --scratch-path "$scratch" \
  -Xlinker "-L$library" -Xlinker -rpath -Xlinker "$library" >&2
kotlin="$PWD/kotlin/interocitor/target"
out="$(mktemp)"
trap 'rm -f "$out"' EXIT
{
  "$library/examples/ground"
  "${swift[@]}" "$scratch/release/interocitor-bench"
  java -Djna.library.path="$library" -cp "$kotlin/test-classes:$kotlin/classes:$(cat "$kotlin/test.classpath")" dev.interocitor.bench.Bench
} | tee "$out" >&2
python3 - "$out" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
figure = {(line["language"], line["work"]): line for line in lines}
print("| work | Rust | Swift | Kotlin |\n|---|---|---|---|")
names = {"query": "query 10,000 rows of 6 columns into typed values", "puts": "1,000 single puts",
         "storm": "50,000 row changes in one pull reach a listener"}
for work, name in names.items():
    ground = figure["rust", work]["ms"]
    cells = [f"{ground:.1f} ms"]
    for language in ("swift", "kotlin"):
        line = figure[language, work]
        events = f", {line['events']} events" if "events" in line else f" ({line['ms'] / ground:.2f}x)"
        cells.append(f"{line['ms']:.1f} ms{events}")
    print(f"| {name} | {' | '.join(cells)} |")
END
