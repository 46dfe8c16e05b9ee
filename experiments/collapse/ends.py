"""Test images that finished runs answered: ends.csv, answers/ and paired differences, ends_effects.csv; both as tables.

python experiments/collapse/ends.py runs/collapse

Differences of the ratio of unique scores, which has no interval over photographs, are in unique_scores.csv.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.numbers import ends_said
from zoom_iqa.reports.study import (
    COLUMNS,
    Arms,
    effect_header,
    effect_rows,
    figure_of,
    figure_table,
    interval_over_seeds,
    kept_study,
    readme_table,
    shared_seeds,
    study_arguments,
    write_runs,
)

HERE = Path(__file__).parent
ARMS = ("without", "with", "decided")
EFFECTS = (
    ("KL-Coverage at the answer's digits against none", "with", "without"),
    ("KL-Coverage at deciding digits against none", "decided", "without"),
    ("KL-Coverage at deciding digits against at the answer's", "decided", "with"),
)


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    arms = kept_study(asked)
    write_runs(arms, asked.out / "ends.csv", list(COLUMNS.values()))
    print(figure_table(arms, COLUMNS, dict(zip(ARMS, ARMS, strict=True))), end="\n\n")
    if asked.resamples:
        head, rows = effect_header(), effect_rows(arms, EFFECTS, n_resamples=asked.resamples)
        add_rows(asked.out / "ends_effects.csv", head, rows, keys=1)
        print(readme_table(head, rows), end="\n\n")
        head, rows = ["effect", "by seed", "mean", "over seeds"], list(unique_scores(arms))
        add_rows(asked.out / "unique_scores.csv", head, rows, keys=1)
        print(readme_table(head, rows))


def unique_scores(arms: Arms) -> Iterator[list[str]]:
    for title, arm, baseline in EFFECTS:
        runs = [(arms[arm][seed], arms[baseline][seed]) for seed in shared_seeds(arms, arm, baseline)]
        by_seed = [figure_of(new, "unique_to_truth") - figure_of(old, "unique_to_truth") for new, old in runs]
        if by_seed:
            each = " ".join(f"{value:+.2f}" for value in by_seed)
            interval = interval_over_seeds(by_seed)
            ends = "" if interval is None else ends_said(*interval, form="+.2f")
            yield [title, each, f"{statistics.fmean(by_seed):+.2f}", ends]


if __name__ == "__main__":
    main()
