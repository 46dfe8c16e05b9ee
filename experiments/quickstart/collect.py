"""Run folders of run.sh -> results.csv, and the stages over seeds as a table: is GRPO better than SFT, or only sharper?

python experiments/quickstart/collect.py runs/quickstart [--resamples 1000]
"""

from __future__ import annotations

from pathlib import Path

from zoom_iqa.reports.study import (
    COLUMNS,
    effect_table,
    figure_of,
    figure_table,
    read_study,
    stages_of,
    study_arguments,
    write_runs,
)

HERE = Path(__file__).parent
SHOWN = {"SRCC of means": "srcc", **COLUMNS, "squared bias": "squared_bias", "RMSE of means": "rmse", "PLCC": "plcc"}
ORDER = {"sft": "SFT", "sft_cool": "SFT at temperature 0.7", "grpo": "GRPO"}
EFFECTS = (("GRPO over SFT", "grpo", "sft"), ("GRPO over SFT at temperature 0.7", "grpo", "sft_cool"))


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    found = read_study(asked.runs)
    arms = {**stages_of(found, "quickstart"), **{arm: runs for arm, runs in found.items() if arm in ORDER}}
    write_runs(arms, asked.out / "results.csv", list(SHOWN.values()))
    print(figure_table(arms, SHOWN, ORDER), end="\n\n")
    print(effect_table(arms, EFFECTS, n_resamples=asked.resamples), end="\n\n")
    gains = [
        figure_of(arms["grpo"][seed], "srcc_expected") - figure_of(run, "srcc_expected")
        for seed, run in sorted(arms["sft"].items())
    ]
    print("SRCC of expected ratings gained by GRPO, run by run:", ", ".join(f"{gain:+.3f}" for gain in gains))


if __name__ == "__main__":
    main()
