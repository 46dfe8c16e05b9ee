r"""Run folders of run.sh -> results.csv (a row a run), effects.csv (paired differences), and both as tables.

python experiments/three_systems/collect.py runs/three_systems [--resamples 1000]
"""

from __future__ import annotations

import csv
import statistics
from pathlib import Path

import numpy as np

from zoom_iqa.reports.study import (
    COLUMNS,
    Arms,
    StudyRun,
    difference,
    effect_header,
    effect_rows,
    kept_study,
    over_seeds,
    readme_table,
    said,
    said_over_seeds,
    study_arguments,
    write_runs,
)

HERE = Path(__file__).parent
SYSTEMS = {"zoom": "two turns", "chain": "chain of looks", "human": "human-like"}
OWN = {
    "looks an image": "looks_per_image",
    "region covered by evidence": "evidence_coverage",
    "defect named": "defect_accuracy",
    "SRCC from the words alone": "srcc_description",
}
"""Figures that some systems alone have."""
EFFECTS = (
    *((f"{title}: GRPO against SFT", f"{system}_grpo", f"{system}_sft") for system, title in SYSTEMS.items()),
    *(
        (f"{title} against two turns, {stage.upper()}", f"{system}_{stage}", f"zoom_{stage}")
        for system, title in SYSTEMS.items()
        if system != "zoom"
        for stage in ("sft", "grpo")
    ),
)


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    arms = kept_study(asked)
    write_runs(arms, asked.out / "results.csv", [*COLUMNS.values(), *OWN.values()])
    if asked.resamples:
        head, rows = table(arms, asked.resamples)
        print(readme_table(head, rows), end="\n\n")
        head, rows = effect_header(), effect_rows(arms, EFFECTS, n_resamples=asked.resamples)
        with (asked.out / "effects.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows])
        print(readme_table(head, rows))


def table(arms: Arms, n_resamples: int) -> tuple[list[str], list[list[str]]]:
    """A row for each system and stage: what GRPO adds to its SFT, and what a system adds to two turns."""
    head = [
        "system", "stage", "seeds", *COLUMNS, *OWN, "tokens an answer", "expected, over its SFT", "over seeds",
        "expected, over two turns", "over seeds",
    ]  # fmt: skip
    rows = []
    for system, title in SYSTEMS.items():
        for stage in ("sft", "grpo"):
            arm = f"{system}_{stage}"
            if arm not in arms:
                continue
            own = list(arms[arm].values())
            found = []
            for other in (f"{system}_sft", f"zoom_{stage}"):
                if other == arm:
                    found += ["", ""]
                    continue
                gain = difference(arms, arm, other, "srcc_expected", n_resamples=n_resamples)
                found += [said(gain), said_over_seeds(gain)]
            figures = [over_seeds(own, key) for key in (*COLUMNS.values(), *OWN.values())]
            spent = f"{statistics.fmean(tokens(run) for run in own):.0f}"
            rows.append([title, stage, str(len(own)), *figures, spent, *found])
    return head, rows


def tokens(run: StudyRun) -> float:
    """Tokens that an answer takes, all of its turns together."""
    return float(np.nanmean(run.answers.values["tokens"]))


if __name__ == "__main__":
    main()
