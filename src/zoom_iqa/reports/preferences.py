"""Choices between two images: published rows of SRIQA-Bench and rows measured here, of answers and of ratings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.targets import Preference
from zoom_iqa.base.types import Example
from zoom_iqa.data.benchmarks.sriqa import kind_of, method_of
from zoom_iqa.data.pairs import Pair, both_orders, pairs_within
from zoom_iqa.evaluation.figure_kinds import of_comparisons
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.evaluation.rated_pairs import NoPairsError, choices_of_ratings
from zoom_iqa.reports.numbers import ends_said
from zoom_iqa.reports.published import rows_of
from zoom_iqa.reports.rendering import MEASURED, TextTable
from zoom_iqa.reports.runs import Figures, FinishedRun, read_run

HEADER = (
    "method",
    "pairs of",
    "origin",
    "Reg-Acc",
    "Gen-Acc",
    "accuracy",
    "always",
    "order bias",
    "unreadable",
    "pairs",
)
BENCHMARK = "SRIQA-Bench"
TITLES = {"srbench": BENCHMARK, "srbench_images": BENCHMARK}
ANSWERS, RATINGS = f"{MEASURED}, answers", f"{MEASURED}, ratings"


def preference_table(named: Sequence[tuple[str, Path]], *, pairs: Path | None, band: float) -> TextTable:
    """The table of runs by name: comparisons by their answers, ratings of single images by the choices they make.

    ``pairs`` is a run of comparisons whose pairs ratings are compared on; None takes all pairs of images with one
    reference, the higher opinion score being preferred. Ratings that differ by no more than ``band`` are similar.

    Raises:
        DataError: a folder is not a finished run's, or none of its data sets makes pairs.
    """
    questions = None if pairs is None else _questions(read_run(pairs))
    rows = [*_published()]
    remarks: list[str] = []
    for label, path in named:
        run = read_run(path)
        remarks.append(f"{label}: {run.description}.")
        made: list[list[str]] = []
        left: list[NoPairsError] = []
        for dataset, figures in run.by_dataset.items():
            answered = of_comparisons(figures)
            try:
                found = figures if answered else _of_ratings(run, dataset, questions, band)
            except NoPairsError as error:
                left.append(error)
                continue
            made.append(_row(label, dataset, ANSWERS if answered else RATINGS, found))
        if left and not made:
            raise left[0]
        rows += made
        remarks += [f"{label}: {str(error).splitlines()[0]}; that data set has no row." for error in left]
    return TextTable(
        title="Choices between two images, in percent",
        header=HEADER,
        names=3,
        rows=rows,
        notes=[
            "An answer or rating that cannot be read makes its pair wrong. Intervals are over the photographs that "
            "pairs are made of, 95 %; always is the commonest label, given always; order bias is the share of pairs "
            "whose answer flips with the order; unreadable counts questions.",
            "Published shares are of pairs with the original among the images of both groups: most are whole numbers "
            "of 300, 3,600 and 5,500 pairs, such as 85.67 % of 300.",
            f"Rows of ratings take the higher rating, similar within {band:g}; no order can change it.",
            *remarks,
        ],
    )


def _published() -> Iterator[list[str]]:
    for row in rows_of("srbench"):
        shares = [row["reg_acc"], row["gen_acc"], row["overall_acc"]]
        yield [row["method"], BENCHMARK, f"published, {row['source']}", *shares, "", "", "", ""]


def _row(label: str, dataset: str, origin: str, figures: Figures) -> list[str]:
    shares = [_share(figures, key) for key in ("accuracy_regression", "accuracy_generation", "accuracy")]
    return [
        label,
        TITLES.get(dataset, dataset),
        origin,
        *shares,
        _share(figures, "accuracy_always"),
        _share(figures, "order_flip_rate"),
        str(figures["unreadable"]),
        f"{figures['n_pairs']:,}",
    ]


def _share(figures: Figures, key: str) -> str:
    value, interval = figures.get(key), figures.get(f"{key}_interval")
    if not isinstance(value, float):
        return "" if value is None else "undefined"
    if not isinstance(interval, Mapping):
        return f"{100 * value:.2f}"
    return f"{100 * value:.2f} {ends_said(100 * interval['low'], 100 * interval['high'], '.1f')}"


def _of_ratings(run: FinishedRun, dataset: str, questions: Sequence[Example] | None, band: float) -> Figures:
    rated = _records(run, dataset)
    asked = _all_pairs(run, rated) if questions is None else questions
    return figures_of(choices_of_ratings(asked, rated, band=band), None)


def _all_pairs(run: FinishedRun, rated: Sequence[Record]) -> list[Example]:
    examples = list({record.example.id: record.example for record in rated}.values())
    pairs = [replace(pair, kind=_kind(pair)) for pair in pairs_within(examples, band=0.0)]
    if not pairs:
        raise NoPairsError(
            f"{run.path}: no two images of {examples[0].dataset} have one reference; give --pairs FOLDER"
        )
    return both_orders(pairs, dataset=examples[0].dataset)


def _kind(pair: Pair) -> str | None:
    """The group of methods of SRIQA-Bench's images; other sets have none."""
    if pair.first.dataset != "srbench_images":
        return None
    return kind_of(method_of(pair.first.id)[1], method_of(pair.second.id)[1])


def _questions(run: FinishedRun) -> list[Example]:
    """The questions that a run of comparisons has answered."""
    records = [record for dataset in run.by_dataset for record in _records(run, dataset)]
    examples = {record.example.name: record.example for record in records}
    if not all(isinstance(example.target, Preference) for example in examples.values()):
        raise DataError(f"{run.path} has rated images, and --pairs needs a run that compares them")
    return list(examples.values())


def _records(run: FinishedRun, dataset: str) -> Sequence[Record]:
    path = run.predictions(run.last_stage if run.trained else dataset)
    records = RecordFile(path, RecordCodec()).read() if path.exists() else ()
    if not records:
        raise DataError(f"{path} is absent or empty, so {dataset} cannot be compared; evaluate again")
    return records
