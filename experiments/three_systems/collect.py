r"""Run folders of run.sh -> results.csv (a row a run), effects.csv (paired differences), and both as tables.

python experiments/three_systems/collect.py runs/three_systems [--resamples 1000]
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.study import (
    COLUMNS,
    Arms,
    StudyRun,
    effect_header,
    effect_rows,
    kept_study,
    over_seeds,
    readme_table,
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
        effects = effect_rows(arms, EFFECTS, n_resamples=asked.resamples)
        print(readme_table(*table(arms, effects)), end="\n\n")
        add_rows(asked.out / "effects.csv", effect_header(), effects, keys=1)
        print(readme_table(effect_header(), effects))


def table(arms: Arms, effects: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """A row for each system and stage: what GRPO adds to its SFT, and what a system adds to two turns."""
    head = [
        "system", "stage", "seeds", *COLUMNS, *OWN, "tokens an answer", "expected, over its SFT", "over seeds",
        "expected, over two turns", "over seeds",
    ]  # fmt: skip
    titles = {(arm, baseline): title for title, arm, baseline in EFFECTS}
    at = effect_header().index("srcc_expected")
    expected = {row[0]: row[at : at + 2] for row in effects}
    rows = []
    for system, title in SYSTEMS.items():
        for stage in ("sft", "grpo"):
            arm = f"{system}_{stage}"
            if arm not in arms:
                continue
            own = list(arms[arm].values())
            found: list[str] = []
            for other in (f"{system}_sft", f"zoom_{stage}"):
                found += expected.get(titles.get((arm, other), ""), ["", ""])
            figures = [over_seeds(own, key) for key in (*COLUMNS.values(), *OWN.values())]
            spent = f"{statistics.fmean(tokens(run) for run in own):.0f}"
            rows.append([title, stage, str(len(own)), *figures, spent, *found])
    return head, rows


def tokens(run: StudyRun) -> float:
    """Tokens that an answer takes, all of its turns together."""
    return float(np.nanmean(run.answers.values["tokens"]))


if __name__ == "__main__":
    main()
