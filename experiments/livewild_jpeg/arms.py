"""What the runs of an arm say together: one row over seeds, and over draws of the split where several are named.

python experiments/livewild_jpeg/arms.py arms_livewild_scenes.csv runs/livewild_scenes
python experiments/livewild_jpeg/arms.py arms_of_draws.csv runs/livewild_scenes runs/livewild_scenes_draw{1,2,3,4}

A row has an arm, what it is compared with, its SRCC, and the difference paired over images: means over the runs of a
draw, then over draws; an arm that a draw lacks has no row. ``sd_of_seeds`` is that of a draw's runs, and neither it
nor the draw is in the intervals.
One interval draws photographs again, the other the blocks of neighbouring file numbers that the split by scene is made
of: neighbours show one place, so that photographs are no independent draws.
``ratings/`` beside the table keeps what every run of a draw rated, and a run whose folder is gone is read from there;
opinion scores are the set's own, of the folder that ZOOM_IQA_DATA names, and are not kept.
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from collect import HERE, rated
from hydra.utils import instantiate
from numpy.typing import NDArray

from zoom_iqa.base.equality import snapped
from zoom_iqa.base.errors import DataError
from zoom_iqa.config.composition import composed
from zoom_iqa.data.benchmarks.splits import scene_blocks
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import spearman_rows, statistic_interval
from zoom_iqa.reports.kept import kept_file, read_kept, write_kept
from zoom_iqa.reports.study import arm_and_seed

PAIRS = (
    ("zero_shot", "niqe"), ("sft", "niqe"), ("grpo", "niqe"), ("grpo", "brisque"), ("grpo", "sft"),
    ("grpo_alone", "niqe"), ("grpo_alone", "grpo"), ("sft_look_more", "niqe"), ("look_more", "niqe"),
    ("look_more", "sft_look_more"), ("look_more", "grpo"), ("paid", "niqe"), ("paid", "grpo"), ("paid_alone", "niqe"),
    ("paid_alone", "grpo_alone"),
)  # fmt: skip
HEAD = (
    "arm", "against", "draws", "runs", "images", "blocks", "srcc", "sd_of_seeds", "difference", "low", "high",
    "low_of_blocks", "high_of_blocks",
)  # fmt: skip
Ratings = Mapping[str, tuple[float, float]]
"""Rating and opinion score by the id of an image."""
Pair = tuple[Ratings, Ratings]
Rows = NDArray[np.int64]


def main(out: Path, draws: Sequence[Path]) -> None:
    kept = out.parent / "ratings"
    found = [by_arm(runs_of(draw, kept_file(kept, draw.name))) for draw in draws]
    rows: list[list[str]] = []
    for arm, base in PAIRS:
        of_draws = [list(pairs_of(draw[arm], draw[base])) for draw in found]
        if all(of_draws):
            rows.append([arm, base, str(len(of_draws)), str(sum(map(len, of_draws))), *figures_of(of_draws)])
    with out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])
    print(out.read_text(encoding="utf-8"))


def runs_of(draw: Path, kept: Path) -> dict[str, Ratings]:
    """The evaluations below a folder by their names, and those of ``kept``, which holds all of them afterwards.

    Raises:
        DataError: there is none.
    """
    runs = {path.parents[1].name: rated(path) for path in sorted(draw.glob("*/livewild_jpeg/scores.csv"))}
    gone = {name: ratings for name, ratings in (read_kept(kept) if kept.exists() else {}).items() if name not in runs}
    if not runs and not gone:
        raise DataError(f"{draw}: no evaluation of livewild_jpeg is below it; run the study first")
    here = {name: {image: rating for image, (rating, _) in ratings.items()} for name, ratings in runs.items()}
    write_kept(kept, dict(sorted((here | gone).items())))
    return runs | {name: scored(ratings) for name, ratings in gone.items()}


def scored(ratings: Mapping[str, float]) -> Ratings:
    """Ratings beside the set's own opinion scores."""
    mos = opinion_scores()
    return {name: (rating, mos[name]) for name, rating in ratings.items()}


@cache
def opinion_scores() -> dict[str, float]:
    return {one.id: one.mos for one in instantiate(benchmark()).labelled()}


@cache
def benchmark() -> Any:
    return composed("benchmark/livewild_jpeg", ["benchmark/split=livewild_scenes"]).benchmark


def by_arm(runs: Mapping[str, Ratings]) -> Mapping[str, dict[int | None, Ratings]]:
    """Ratings by arm and seed; None is the seed of what has none."""
    found: dict[str, dict[int | None, Ratings]] = defaultdict(dict)
    for name, ratings in runs.items():
        arm, seed = arm_and_seed(name) or (name, None)
        found[arm][seed] = ratings
    return found


def pairs_of(arm: Mapping[int | None, Ratings], base: Mapping[int | None, Ratings]) -> Iterator[Pair]:
    """Each run of an arm beside the base's of its seed, or beside the only one where the base has no seeds."""
    for seed, ratings in arm.items():
        other = base.get(None, base.get(seed))
        if other is not None:
            yield ratings, other


def figures_of(draws: Sequence[Sequence[Pair]]) -> list[str]:
    """The cells of a row from ``images`` on."""
    ids = sorted({name for pairs in draws for ours, theirs in pairs for name in ours.keys() & theirs.keys()})
    judged = [[Judged(pair, ids) for pair in pairs] for pairs in draws]
    levels = [[srcc(one.ours, one.mos) for one in runs] for runs in judged]

    def change(rows: Rows) -> float:
        return statistics.fmean(statistics.fmean(one.change(rows) for one in runs) for runs in judged)

    def interval(clusters: Sequence[Hashable] | None) -> list[float]:
        drawn = statistic_interval("srcc", change, len(ids), n_resamples=2000, seed=0, clusters=clusters)
        return [drawn.low, drawn.high]

    spreads = [statistics.stdev(runs) for runs in levels if len(runs) > 1]
    spread = f"{statistics.fmean(spreads):.3f}" if spreads else ""
    level = statistics.fmean(statistics.fmean(runs) for runs in levels)
    split = benchmark().split
    scenes = scene_blocks({name: int(Path(name).stem) for name in ids}, block=split.block, alike=split.alike)
    blocks = [scenes[name] for name in ids]
    differences = [change(np.arange(len(ids))), *interval(None), *interval(blocks)]
    return [str(len(ids)), str(len(set(blocks))), f"{level:.3f}", spread, *(f"{value:.3f}" for value in differences)]


class Judged:
    """Two policies' ratings of the images that both rate, found by their rows among ``ids``."""

    def __init__(self, pair: Pair, ids: Sequence[str]) -> None:
        shared = [name for name in ids if name in pair[0] and name in pair[1]]
        self.ours, self.theirs = (snapped([side[name][0] for name in shared]) for side in pair)
        self.mos = snapped([pair[0][name][1] for name in shared])
        place = {name: index for index, name in enumerate(shared)}
        self._place = np.array([place.get(name, -1) for name in ids])

    def change(self, rows: Rows) -> float:
        """SRCC less the other's, on those of the drawn rows that both rate; NaN where there are none."""
        drawn = self._place[rows]
        at = drawn[drawn >= 0]
        if not len(at):
            return float("nan")
        mos = self.mos[at][None]
        return float((spearman_rows(self.ours[at][None], mos) - spearman_rows(self.theirs[at][None], mos))[0])


if __name__ == "__main__":
    main(HERE / sys.argv[1], [Path(name) for name in sys.argv[2:]])
