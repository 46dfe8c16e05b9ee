"""Means of a study's columns with 95 % bootstrap intervals over images, and which edits were kept.

python experiments/refine/summary.py experiments/refine/embedded.csv
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from zoom_iqa.metrics.intervals import mean_interval

RESAMPLES = 10_000
EQUAL = 100.0
"""PSNR of equal images."""
GAINS = (
    *("gain", "gain_read_again", "best_gain", "best_gain_read_again", "random_gain", "random_gain_read_again"),
    *("niqe_change", "psnr_to_input", "ssim_to_input", "psnr_change", "ssim_change"),
)


def main() -> None:
    for name in sys.argv[1:]:
        with Path(name).open(encoding="utf-8", newline="") as file:
            rows = [with_changes(row) for row in csv.DictReader(file)]
        edited = [row for row in rows if row["kept"]]
        print(f"{name}: {len(rows)} images, {len(edited)} edited, start {mean(rows, 'start'):.2f}")
        for column in GAINS:
            if column in rows[0]:
                print(f"  {column:<24} all {interval(rows, column)}   edited {interval(edited, column)}")
        edits = Counter(edit for row in edited for edit in row["kept"].replace(" + ", " > ").split(" > "))
        print("  kept:", ", ".join(f"{edit} {count}" for edit, count in edits.most_common()))
        pristine = [row for row in rows if row["defect"] == "pristine"]
        if pristine:
            print("  pristine images edited:", sum(bool(row["kept"]) for row in pristine), "of", len(pristine))
        print("  ways:", len({row["kept"] for row in edited}), "different among", len(edited))


def with_changes(row: dict[str, str]) -> dict[str, str]:
    for kind in ("niqe", "psnr", "ssim"):
        before, after = row.get(f"{kind}_before", ""), row.get(f"{kind}_after", "")
        if before and after and float(before) < EQUAL:  # a pristine image can only lose
            row[f"{kind}_change"] = str(float(after) - float(before))
    return row


def values(rows: list[dict[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column]) for row in rows if row.get(column)])


def mean(rows: list[dict[str, str]], column: str) -> float:
    return float(values(rows, column).mean())


def interval(rows: list[dict[str, str]], column: str) -> str:
    found = values(rows, column)
    ends = mean_interval(found, n_resamples=RESAMPLES, seed=0)
    return "-" if ends is None else f"{found.mean():+.2f} [{ends[0]:+.2f}, {ends[1]:+.2f}]"


if __name__ == "__main__":
    main()
