"""Test images that finished runs answered: answers.csv, answers/ and what GRPO changes, effects.csv; both as tables.

python experiments/crops/answers.py runs/crops [--resamples 1000]

Runs of run.sh answer 1,360 images of their own arm's regions, four times each. Those of the usual arm are the
ablation's, where they are kept.
"""

from __future__ import annotations

from pathlib import Path

from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.study import (
    COLUMNS,
    Arms,
    effect_header,
    effect_rows,
    figure_table,
    kept_study,
    read_study,
    readme_table,
    study_arguments,
    write_runs,
)

HERE = Path(__file__).parent
ABLATION = HERE.parent / "ablation" / "answers"
SHARED = {"usual_sft": "sft", "usual_grpo": "kl_coverage"}
"""The usual arm's policies, by their names in the ablation."""
ARMS = ("usual", "small", "small_half")


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    own = kept_study(asked)
    ablation = read_study(ABLATION, kept=ABLATION)
    arms: Arms = {**{ours: ablation[theirs] for ours, theirs in SHARED.items()}, **own}
    write_runs(arms, asked.out / "answers.csv", list(COLUMNS.values()))
    titles = {f"{arm}_{stage}": f"`{arm}`, {stage.upper()}" for arm in ARMS for stage in ("sft", "grpo")}
    print(figure_table(arms, COLUMNS, titles), end="\n\n")
    if asked.resamples:
        effects = [(f"`{arm}`: GRPO against SFT", f"{arm}_grpo", f"{arm}_sft") for arm in ARMS]
        head, rows = effect_header(), effect_rows(arms, effects, n_resamples=asked.resamples)
        add_rows(asked.out / "effects.csv", head, rows, keys=1)
        print(readme_table(head, rows))


if __name__ == "__main__":
    main()
