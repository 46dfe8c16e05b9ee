"""Run folders of run.sh -> results.csv, and the stages over seeds as a table: is GRPO better than SFT, or only sharper?

python experiments/quickstart/collect.py runs/quickstart [--resamples 1000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from zoom_iqa.reports.study import (
    COLUMNS,
    difference,
    figure_of,
    markdown,
    over_seeds,
    read_study,
    said,
    stages_of,
    write_runs,
)

HERE = Path(__file__).parent
SHOWN = {"SRCC of means": "srcc", **COLUMNS, "squared bias": "squared_bias", "RMSE of means": "rmse", "PLCC": "plcc"}
ORDER = {"sft": "SFT", "sft_cool": "SFT at temperature 0.7", "grpo": "GRPO"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--resamples", type=int, default=1000)
    asked = parser.parse_args()
    found = read_study(asked.runs)
    arms = {**stages_of(found, "quickstart"), **{arm: runs for arm, runs in found.items() if arm in ORDER}}
    write_runs(arms, asked.out / "results.csv", list(SHOWN.values()))
    rows = [
        [title, *(over_seeds(arms[arm].values(), key) for key in SHOWN.values())]
        for arm, title in ORDER.items()
        if arm in arms
    ]
    print(markdown(["", *SHOWN], rows), end="\n\n")
    for baseline in ("sft", "sft_cool"):
        for figure in ("srcc_single", "srcc_expected", "rating_variance"):
            gain = difference(arms, "grpo", baseline, figure, n_resamples=asked.resamples)
            print(f"GRPO over {ORDER[baseline]}, {figure}: {said(gain) or gain}")
    gains = [
        figure_of(arms["grpo"][seed], "srcc_expected") - figure_of(run, "srcc_expected")
        for seed, run in sorted(arms["sft"].items())
    ]
    print("SRCC of expected ratings gained by GRPO, run by run:", ", ".join(f"{gain:+.3f}" for gain in gains))


if __name__ == "__main__":
    main()
