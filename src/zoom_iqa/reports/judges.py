"""Two judges side by side: how far their grades of the same texts agree, and what each has cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.curation.judge_agreement import agreement
from zoom_iqa.curation.judging import Judgement, JudgementCodec
from zoom_iqa.engines.speaker import written_amount
from zoom_iqa.metrics.intervals import Interval
from zoom_iqa.reports.judged import Judged, read_judged
from zoom_iqa.reports.numbers import ends_said
from zoom_iqa.reports.rendering import TextTable

N_RESAMPLES, SEED = 1000, 0
JUDGEMENTS = "judgements.jsonl"


def judges_table(folders: Sequence[Path]) -> TextTable:
    """Agreement by criterion of two folders of ``zoom-iqa judge`` about the same predictions, named alike in both.

    Raises:
        DataError: a folder is none, the two are about different benchmarks, or no text was graded by both.
    """
    judged = [read_judged(folder) for folder in folders]
    names = [f"{label}: {one['judge_name']}" for label, one in zip("AB", judged, strict=True)]
    benchmarks = [one["benchmark"] for one in judged]
    if len(set(benchmarks)) > 1:
        about = " and ".join(f"{folder} is about {name}" for folder, name in zip(folders, benchmarks, strict=True))
        raise DataError(f"{about}; name two folders about one benchmark")
    judgements = [RecordFile(folder / JUDGEMENTS, JudgementCodec()).read() for folder in folders]
    found = agreement(*judgements, n_resamples=N_RESAMPLES, seed=SEED)
    if not found:
        systems = [", ".join(dict.fromkeys(one.system for one in made)) or "nothing" for made in judgements]
        raise DataError(
            f"no text was graded by both: {folders[0]} has {systems[0]}, {folders[1]} has {systems[1]}; "
            "have both judge the same predictions under the same names"
        )
    rows = [
        [
            name,
            str(one.texts),
            *(f"{mean:.2f}" for mean in one.means),
            _shown(one.srcc, one.srcc_interval),
            _shown(one.kappa, one.kappa_interval),
        ]
        for name, one in found.items()
    ]
    undefined = [said for one in found.values() for said in (one.srcc, one.kappa) if isinstance(said, str)]
    return TextTable(
        title=f"Two judges on {benchmarks[0]}: {', '.join(names)}",
        header=["criterion", "texts", "mean of A", "mean of B", "Spearman", "weighted kappa"],
        names=1,
        rows=rows,
        notes=[
            "Over texts that both graded, controls left out; 95 % bootstrap intervals over images.",
            "Spearman is of means over repeats, kappa (quadratic weights) of grades of the same repeat.",
            *dict.fromkeys(undefined),
            *(_spent(*named) for named in zip(names, judged, judgements, strict=True)),
        ],
    )


def _shown(value: float | str, interval: Interval | None) -> str:
    if isinstance(value, str):
        return "undefined"
    return f"{value:.3f}" + ("" if interval is None else f" {ends_said(interval.low, interval.high)}")


def _spent(name: str, judged: Judged, judgements: Sequence[Judgement]) -> str:
    ungraded = sum(isinstance(one.grades, str) for one in judgements)
    cost = ", ".join(_costs(judged)) or "answers cost nothing"
    return f"{name}: {len(judgements)} answers, {ungraded} without grades; {cost}."


def _costs(judged: Judged) -> Iterator[str]:
    for name, value in judged.get("cost", {}).items():
        yield f"{written_amount(value)} {name.removeprefix('judge_').replace('_', ' ')}"
