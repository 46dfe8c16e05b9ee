r"""Run folders of run.sh -> results.csv, a row a run, effects.csv, the paper's signs beside ours, and both as tables.

    python experiments/ablation/collect.py runs/ablation [--resamples 1000]

Without resamples only results.csv is written: that is what a study that goes on does after each run.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from zoom_iqa.reports.published import DATASETS, PublishedRow, published_rows
from zoom_iqa.reports.study import (
    COLUMNS,
    COMPARED,
    Arms,
    Difference,
    arm_rows,
    difference,
    header,
    kept_study,
    readme_table,
    said,
    said_over_seeds,
    shared_seeds,
    study_arguments,
    write_runs,
)

HERE = Path(__file__).parent
PAPER = ("sft", "rank", "score", "score_rank", "kl_coverage", "progressive")
"""Arms in the order of the paper's rows."""

EFFECTS = (
    ("rank reward alone", "rank", "sft"),
    ("score reward alone", "score", "sft"),
    ("score reward, beside rank", "kl_coverage", "rank"),
    ("rank reward, beside score", "kl_coverage", "score"),
    ("KL-Coverage", "kl_coverage", "score_rank"),
    ("progressive re-sampling", "progressive", "kl_coverage"),
    ("all of GRPO", "progressive", "sft"),
)
"""Effects that the paper's table shows: a row and the row without that part."""

OWN = (
    ("SFT at temperature 0.7 against 1", "sft_cool", "sft"),
    ("GRPO against SFT at temperature 0.7", "kl_coverage", "sft_cool"),
    ("KL-Coverage at deciding digits against at the answer's", "decided", "kl_coverage"),
    ("KL-Coverage at deciding digits against none", "decided", "score_rank"),
    ("KL-Coverage, sampled against exact", "sampled", "kl_coverage"),
    ("two updates a rollout against one", "two_updates", "kl_coverage"),
    ("old anchor against reference, two updates", "old_anchor", "two_updates"),
    ("plain KL against KL-Coverage", "kl_reference", "kl_coverage"),
    ("plain KL against none", "kl_reference", "score_rank"),
    ("KL-Cov against KL-Coverage, two updates", "kl_cov", "two_updates"),
    ("Clip-Cov against none", "clip_cov", "score_rank"),
    ("inverse frequency against natural", "inverse_frequency", "kl_coverage"),
    ("progressive against inverse frequency", "progressive", "inverse_frequency"),
    ("advantages without std", "no_std", "kl_coverage"),
    ("token mean against sequence mean", "token_mean", "kl_coverage"),
    ("tower trained", "tower", "kl_coverage"),
)


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    arms = kept_study(asked)
    write_runs(arms, asked.out / "results.csv", list(COLUMNS.values()))
    if not asked.resamples:
        return
    order = [*PAPER, *(arm for _, arm, _ in OWN)]
    print(readme_table(header("sft"), arm_rows(arms, "sft", order, n_resamples=asked.resamples)), end="\n\n")
    rows = effects(arms, n_resamples=asked.resamples)
    head = ["effect", "paper, KonIQ", "paper, mean of 7", "ours, expected", "ours, single", "variance"]
    head += ["signs", "seeds", "expected, over seeds", "single, over seeds"]
    with (asked.out / "effects.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows])
    print(readme_table(head, rows))


def effects(arms: Arms, *, n_resamples: int) -> list[list[str]]:
    """The paper's effects with its signs and ours, then ours alone."""
    published = dict(zip(PAPER, published_rows("table3"), strict=True))
    rows = []
    for title, arm, baseline in (*EFFECTS, *OWN):
        found = {name: difference(arms, arm, baseline, name, n_resamples=n_resamples) for name in COMPARED}
        koniq, mean = paper_effect(published, arm, baseline)
        expected = found["srcc_expected"]
        rows.append(
            [
                title,
                *("" if value is None else f"{value:+.3f}" for value in (koniq, mean)),
                *(said(found[name]) for name in ("srcc_expected", "srcc_single", "rating_variance")),
                compared(koniq, expected),
                " ".join(map(str, shared_seeds(arms, arm, baseline))),
                *(said_over_seeds(found[name]) for name in ("srcc_expected", "srcc_single")),
            ]
        )
    return rows


def paper_effect(published: Mapping[str, PublishedRow], arm: str, baseline: str) -> tuple[float | None, float | None]:
    """Differences of the published SRCC: on KonIQ-10k, and the mean over its seven sets."""
    if arm not in published or baseline not in published:
        return None, None
    new, old = (srccs(published[name]) for name in (arm, baseline))
    changes = [a - b for a, b in zip(new, old, strict=True)]
    return changes[list(DATASETS).index("koniq")], statistics.fmean(changes)


def srccs(row: PublishedRow) -> Sequence[float]:
    return [float(srcc) for _, srcc in row.figures.values()]


def compared(paper: float | None, ours: Difference | str) -> str:
    """Whether the signs agree; ``0`` is a difference that the images cannot tell from none."""
    if isinstance(ours, str):
        return "not run"
    if paper is None:
        return ours.sign
    theirs = "+" if paper > 0 else "-"
    return f"theirs {theirs}, ours {ours.sign}"


if __name__ == "__main__":
    main()
