"""Run folders of run.sh -> results.csv, answers/ and effects.csv: is GRPO better than SFT, or only sharper?

python experiments/quickstart/collect.py runs/quickstart [--resamples 1000]
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.study import (
    COLUMNS,
    effect_header,
    effect_rows,
    figure_of,
    figure_table,
    keep,
    read_study,
    readme_table,
    stages_of,
    study_arguments,
    write_runs,
)
from zoom_iqa.reports.study_answers import Answers
from zoom_iqa.reports.study_statistics import COMPARED

HERE = Path(__file__).parent
SHOWN = {"SRCC of means": "srcc", **COLUMNS, "squared bias": "squared_bias", "RMSE of means": "rmse", "PLCC": "plcc"}
ORDER = {"sft": "SFT", "sft_cool": "SFT at temperature 0.7", "grpo": "GRPO"}
EFFECTS = (("GRPO over SFT", "grpo", "sft"), ("GRPO over SFT at temperature 0.7", "grpo", "sft_cool"))


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    found = read_study(asked.runs, kept=asked.out / "answers")
    here = stages_of(found, "quickstart") if "quickstart" in found else {}
    arms = {arm: {**found.get(arm, {}), **here.get(arm, {})} for arm in ORDER if arm in found or arm in here}
    keep(arms, asked.out / "answers")
    write_runs(arms, asked.out / "results.csv", list(SHOWN.values()))
    print(figure_table(arms, SHOWN, ORDER), end="\n\n")
    figures = (*COMPARED, "squared_bias")
    head, rows = effect_header(figures), effect_rows(arms, EFFECTS, n_resamples=asked.resamples, figures=figures)
    add_rows(asked.out / "effects.csv", head, rows, keys=1)
    print(readme_table(head, rows), end="\n\n")
    gains = [
        figure_of(arms["grpo"][seed], "srcc_expected") - figure_of(run, "srcc_expected")
        for seed, run in sorted(arms["sft"].items())
    ]
    print("SRCC of expected ratings gained by GRPO, run by run:", ", ".join(f"{gain:+.3f}" for gain in gains))
    for arm, title in ORDER.items():
        shifts = [shift(run.answers) for _, run in sorted(arms.get(arm, {}).items())]
        print(f"mean rating less mean label, {title}:", ", ".join(f"{one:+.2f}" for one in shifts))


def shift(answers: Answers) -> float:
    """How far ratings lie above the labels, in points, as a mean over images."""
    return float(np.nanmean(np.nanmean(answers.values["rating"], axis=0) - answers.mos_n))


if __name__ == "__main__":
    main()
