"""Test images that finished runs answered: ends.csv, answers/ and paired differences, ends_effects.csv; both as tables.

python experiments/collapse/ends.py runs/collapse
"""

from __future__ import annotations

from pathlib import Path

from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.study import (
    COLUMNS,
    effect_header,
    effect_rows,
    figure_table,
    kept_study,
    readme_table,
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
        print(readme_table(head, rows))


if __name__ == "__main__":
    main()
