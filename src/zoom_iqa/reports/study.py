"""Arms of a study over seeds: figures of each, and paired differences of two arms with intervals over photographs.

A study is a folder of runs named ARM_seedN, of training or of an evaluation. Every arm answers the same images several
times, so that an image's answers, their mean and its photograph are drawn together.

Legend: K answers of an image, n images. An answer that has no value is NaN, and left out as the figures of a run do.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import DataError
from zoom_iqa.evaluation.figures import BOOTSTRAP_SEED
from zoom_iqa.metrics.intervals import Interval, statistic_interval
from zoom_iqa.metrics.undefined import Undefined, value_or_undefined
from zoom_iqa.reports.contents import read_contents
from zoom_iqa.reports.kept import add_rows, kept_file, kept_runs
from zoom_iqa.reports.numbers import csv_number, ends_said
from zoom_iqa.reports.rendering import mean_and_spread
from zoom_iqa.reports.runs import Figures, read_run
from zoom_iqa.reports.study_answers import (
    Answers,
    answers_of,
    kept_figures,
    read_answers,
    write_answers,
)
from zoom_iqa.reports.study_statistics import COMPARED, STATISTICS

_NAMED = re.compile(r"(.+)_seed(\d+)")


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """An evaluation of a run: its figures, and its answers, which are read when asked for.

    ``path`` is the run's folder, or the file that keeps its answers. ``judged`` names the evaluation; None is the last.
    """

    path: Path
    figures: Figures
    judged: str | None = None

    @cached_property
    def answers(self) -> Answers:
        """What the run answered.

        Raises:
            DataError: the file of answers is absent or damaged.
        """
        if self.path.is_file():
            return read_answers(self.path)
        found = read_contents(self.path).judged
        judged = found[-1] if self.judged is None else next(one for one in found if one.name == self.judged)
        return answers_of(judged.images)


Arms = Mapping[str, Mapping[int, StudyRun]]
"""Runs by arm and seed."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure of an arm minus that of another by seed, and the interval of its mean over photographs.

    The interval is None where no resamples were asked for.
    """

    by_seed: Sequence[float]
    interval: Interval | None
    images: int

    @property
    def value(self) -> float:
        """The mean over the seeds of both arms."""
        return statistics.fmean(self.by_seed)

    @property
    def seeds(self) -> int:
        """The number of seeds that both arms have."""
        return len(self.by_seed)

    @property
    def over_seeds(self) -> tuple[float, float] | None:
        """The mean's 95 % interval by Student's t, for other seeds on the same photographs; None of one seed."""
        return interval_over_seeds(self.by_seed)

    @property
    def sign(self) -> str:
        """``+`` or ``-`` where the interval leaves out zero, else ``0``: the images cannot tell the arms apart.

        Empty where there is no interval.
        """
        if self.interval is None:
            return ""
        return "+" if self.interval.low > 0 else "-" if self.interval.high < 0 else "0"


def interval_over_seeds(by_seed: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean over seeds by Student's t (Student 1908); None of one seed."""
    if len(by_seed) < 2:
        return None
    half = stats.t.ppf(0.975, len(by_seed) - 1) * statistics.stdev(by_seed) / math.sqrt(len(by_seed))
    return statistics.fmean(by_seed) - half, statistics.fmean(by_seed) + half


def read_study(runs: Path, *, within: str = "", kept: Path | None = None) -> dict[str, dict[int, StudyRun]]:
    """The finished runs below a folder, by arm and seed; those that are not finished are left out.

    ``within`` is the folder inside ARM_seedN that holds the run; empty says that it is that folder itself. ``kept`` is
    a folder of answers that ``keep`` wrote: those of runs that are not below ``runs`` are read, too.

    Raises:
        DataError: there is none, or a file of one is damaged.
    """
    found: dict[str, dict[int, StudyRun]] = {}
    for name, path in ({} if kept is None else kept_runs(kept)).items():
        _add(found, name, path, kept_figures(path))
    for folder in sorted(runs.glob("*_seed*")):
        run = folder / within
        if _ended(run):
            _add(found, folder.name, run, list(read_run(run).metrics.values())[-1])
    if not found:
        raise DataError(f"{runs}: no run named ARM_seedN has ended below it; run the study first")
    return {arm: dict(sorted(seeds.items())) for arm, seeds in sorted(found.items())}


def _add(found: dict[str, dict[int, StudyRun]], name: str, path: Path, figures: Figures) -> None:
    named = arm_and_seed(name)
    if named is not None:
        arm, seed = named
        found.setdefault(arm, {})[seed] = StudyRun(path=path, figures=figures)


def keep(arms: Arms, folder: Path) -> None:
    """Write the answers and figures of the runs to files that can be committed; what is kept already stays as it is.

    Figures tell whether it is, as a run's answers take seconds to read.
    """
    for arm, seeds in arms.items():
        for seed, run in seeds.items():
            path = kept_file(folder, f"{arm}_seed{seed}")
            if run.path.is_file() or (path.exists() and kept_figures(path) == run.figures):
                continue
            write_answers(path, run.answers, run.figures)


def kept_study(asked: argparse.Namespace) -> dict[str, dict[int, StudyRun]]:
    """The study of ``study_arguments`` with what ``out/answers`` keeps of runs that are gone; new answers are kept too.

    Raises:
        DataError: as ``read_study``.
    """
    arms = read_study(asked.runs, kept=asked.out / "answers")
    keep(arms, asked.out / "answers")
    return arms


def stages_of(arms: Arms, arm: str) -> dict[str, dict[int, StudyRun]]:
    """The evaluations after each stage of an arm's training runs, as arms named by stage."""
    found: dict[str, dict[int, StudyRun]] = {}
    for seed, run in arms[arm].items():
        for stage, figures in read_run(run.path).metrics.items():
            found.setdefault(stage, {})[seed] = StudyRun(path=run.path, figures=figures, judged=stage)
    return found


def arm_and_seed(name: str) -> tuple[str, int] | None:
    """What the name of a run's folder says; None where it is not of the form ARM_seedN."""
    named = _NAMED.fullmatch(name)
    return None if named is None else (named[1], int(named[2]))


def _ended(folder: Path) -> bool:
    """Whether a training run has kept its policy, or an evaluation its figures."""
    trained = (folder / "checkpoints").exists()
    return (folder / "policy").exists() if trained else (folder / "metrics.json").exists()


def shared_seeds(arms: Arms, arm: str, baseline: str) -> list[int]:
    """The seeds that both arms have finished, in order."""
    return sorted(set(arms.get(arm, {})) & set(arms.get(baseline, {})))


def difference(arms: Arms, arm: str, baseline: str, figure: str, *, n_resamples: int) -> Difference | str:
    """A figure of ``STATISTICS`` of ``arm`` minus that of ``baseline``, or the reason that there is none.

    It is over the seeds and the images that both have, and so the difference of the two figures' means over seeds.
    Photographs are drawn with replacement, the same for both arms and all seeds; ``over_seeds`` is the other interval.
    """
    seeds = shared_seeds(arms, arm, baseline)
    if not seeds:
        return f"{arm} and {baseline} share no finished seed"
    of, statistic = STATISTICS[figure]
    pairs = [(arms[arm][seed].answers, arms[baseline][seed].answers) for seed in seeds]
    both = set.intersection(*(set(one.ids) for pair in pairs for one in pair))
    shown = pairs[0][0]
    columns = [column for column, name in enumerate(shown.ids) if name in both]
    if not columns:
        return f"{arm} and {baseline} have answered no image both"
    ids = [shown.ids[column] for column in columns]
    mos_n = snapped(shown.mos_n[columns])
    matrices = [(new.of(of, ids), old.of(of, ids)) for new, old in pairs]

    def by_seed(rows: NDArray[np.int64]) -> list[float]:
        mos = mos_n[rows]
        return [statistic(new[:, rows], mos) - statistic(old[:, rows], mos) for new, old in matrices]

    found = by_seed(np.arange(len(ids)))
    if any(map(math.isnan, found)):
        return f"{figure} of {arm} or {baseline} is undefined in one of the runs"
    if not n_resamples:
        return Difference(by_seed=found, interval=None, images=len(ids))
    interval = value_or_undefined(
        statistic_interval, figure, lambda rows: statistics.fmean(by_seed(rows)), len(ids), n_resamples=n_resamples,
        seed=BOOTSTRAP_SEED, clusters=[shown.photographs[column] for column in columns],
    )  # fmt: skip
    if isinstance(interval, Undefined):
        return interval.reason
    return Difference(by_seed=found, interval=interval, images=len(ids))


COLUMNS = {
    "SRCC of single answers": "srcc_single",
    "SRCC of expected ratings": "srcc_expected",
    "variance within images": "rating_variance",
    "unique scores / truth's": "unique_to_truth",
    "crop rate": "crop_rate",
    "well-formed": "format_rate",
}


def figure_of(run: StudyRun, key: str) -> float:
    """A figure of a run, such as ``srcc`` or ``rouge1.f1``; NaN where it is not defined."""
    if key == "unique_to_truth":
        return figure_of(run, "unique_score_ratio") / figure_of(run, "unique_mos_ratio")
    found: Any = run.figures
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return float(found) if isinstance(found, int | float) else math.nan


def over_seeds(runs: Iterable[StudyRun], key: str) -> str:
    """Mean and standard deviation over seeds: empty where none has the figure, with their number where some have it."""
    numbers = [figure_of(run, key) for run in runs]
    defined = [number for number in numbers if not math.isnan(number)]
    few = "" if len(defined) == len(numbers) else f" ({len(defined)} of {len(numbers)})"
    return mean_and_spread(defined) + few if defined else ""


def write_runs(arms: Arms, path: Path, keys: Sequence[str]) -> None:
    """Rows of a CSV table, one a run: arm, seed, the figures named and the number of images; others' rows stay.

    Raises:
        DataError: the table is damaged.
    """
    rows = [
        [arm, str(seed), *(csv_number(figure_of(run, key)) for key in keys), str(run.figures["n"])]
        for arm, runs in arms.items()
        for seed, run in runs.items()
    ]
    add_rows(path, ["arm", "seed", *keys, "n"], rows, keys=2)


def study_arguments(description: str | None, *, out: Path) -> argparse.Namespace:
    """The arguments of a study's collect.py: ``runs``, ``out`` and ``resamples``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--resamples", type=int, default=1000, help="0 leaves intervals out")
    return parser.parse_args()


def said(found: Difference | str) -> str:
    """A difference as tables print it; empty where there is none."""
    if isinstance(found, str):
        return ""
    interval = found.interval
    return f"{found.value:+.3f}" + ("" if interval is None else f" {ends_said(interval.low, interval.high, '+.3f')}")


def said_over_seeds(found: Difference | str) -> str:
    """Its interval over seeds as tables print it; empty where there is none."""
    ends = None if isinstance(found, str) else found.over_seeds
    return "" if ends is None else ends_said(*ends, "+.3f")


def figure_table(arms: Arms, figures: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """A row for each arm of ``titles`` that there is: its title, its seeds and ``figures`` over them, by heading."""
    rows = [
        [title, str(len(arms[arm])), *(over_seeds(arms[arm].values(), key) for key in figures.values())]
        for arm, title in titles.items()
        if arm in arms
    ]
    return readme_table(["arm", "seeds", *figures], rows)


def effect_rows(
    arms: Arms, effects: Iterable[tuple[str, str, str]], *, n_resamples: int, figures: Sequence[str] = COMPARED
) -> list[list[str]]:
    """A row for each effect whose two arms there are: its title, then by figure its difference and that over seeds."""
    rows = []
    for title, arm, baseline in effects:
        if arm in arms and baseline in arms:
            found = [difference(arms, arm, baseline, name, n_resamples=n_resamples) for name in figures]
            rows.append([title, *(say(one) for one in found for say in (said, said_over_seeds))])
    return rows


def effect_header(figures: Sequence[str] = COMPARED) -> list[str]:
    """The names of the columns of ``effect_rows``."""
    return ["effect", *(name for figure in figures for name in (figure, f"{figure}, over seeds"))]


def effect_table(
    arms: Arms, effects: Iterable[tuple[str, str, str]], *, n_resamples: int, figures: Sequence[str] = COMPARED
) -> str:
    """``effect_rows`` as a README has them."""
    return readme_table(effect_header(figures), effect_rows(arms, effects, n_resamples=n_resamples, figures=figures))


def arm_rows(arms: Arms, baseline: str, order: Sequence[str], *, n_resamples: int) -> list[list[str]]:
    """A row an arm: seeds, figures over seeds, and the gains of single answers and expected ratings on ``baseline``."""
    names = dict.fromkeys([*(name for name in order if name in arms), *arms])
    return [
        [
            name,
            str(len(arms[name])),
            *(over_seeds(arms[name].values(), key) for key in COLUMNS.values()),
            *(
                "" if name == baseline else said(difference(arms, name, baseline, figure, n_resamples=n_resamples))
                for figure in ("srcc_single", "srcc_expected")
            ),
        ]
        for name in names
    ]


def header(baseline: str) -> list[str]:
    """The names of the columns of ``arm_rows``."""
    return ["arm", "seeds", *COLUMNS, f"single, over {baseline}", f"expected, over {baseline}"]


def readme_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as a README has it, without a title."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
