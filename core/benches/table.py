#!/usr/bin/env python3
"""Prints the bench table from what `cargo bench -p interocitor-core` left in target/criterion."""
import json, pathlib, sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "target" / "criterion"
JOBS = [
    ("write", "one durable local write", 0.5, 1, "writes/s"),
    ("batch", "50,000 rows in one batch", 0.33, 50_000, "rows/s"),
    ("pull", "fresh device pulls 5,000 one-op change files", 0.4, 5_000, "files/s"),
    ("restore", "fresh device restores a 55,000-row snapshot", 0.4, 55_000, "rows/s"),
    ("compact", "compaction of 100,000 rows", 0.4, 100_000, "rows/s"),
    ("point-read", "point read", 0.5, 1, "reads/s"),
    ("indexed-where", "indexed where, 100 rows of 55,000", 0.5, 1, "queries/s"),
    ("filtered-scan", "scan of 55,000 rows with a filter", 0.5, 55_000, "rows/s"),
    ("full-scan", "all 55,000 rows", 0.5, 55_000, "rows/s"),
    # Ground: the same engine on a store that is not encrypted.
    ("sealed-write", "encrypted store: one durable local write", "–", 1, "writes/s"),
    ("sealed-batch", "encrypted store: 50,000 rows in one batch", "–", 50_000, "rows/s"),
    ("sealed-point-read", "encrypted store: point read", "–", 1, "reads/s"),
    ("sealed-full-scan", "encrypted store: all 50,000 rows", "–", 50_000, "rows/s"),
]

def seconds(job, side):
    return json.loads((ROOT / job / side / "new" / "estimates.json").read_text())["median"]["point_estimate"] / 1e9

print("| work | engine | ground | of the ground | wanted |\n|---|---|---|---|---|")
for job, what, wanted, count, unit in JOBS:
    if not (ROOT / job / "engine" / "new").exists():
        print(f"{job}: not measured", file=sys.stderr)
        continue
    engine, ground = seconds(job, "engine"), seconds(job, "ground")
    rate = lambda time: f"{count / time:,.0f} {unit} ({time * 1e3:,.3g} ms)"
    print(f"| {what} | {rate(engine)} | {rate(ground)} | **{ground / engine:.2f}** | {wanted} |")
