r"""control.json files of run.sh -> controls/, six tables beside it, and README.md's on the screen.

    python experiments/crops/collect.py runs/crops [--resamples 1000]

Every figure is a mean over seeds. Brackets are 95 % intervals of a difference, photographs drawn with replacement, the
same for both sides and for all seeds, and in columns "over seeds" Student's t on the same photographs. Only images that
every answer of a comparison rates take part in it. A large look leaves no place that misses the defect: SRCCs by
picture are of images that have all five, comparisons of two of all that have these two.
"""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoom_iqa.evaluation.crop_places import PLACES
from zoom_iqa.metrics.intervals import spearman_rows, statistic_interval
from zoom_iqa.metrics.undefined import Undefined, value_or_undefined
from zoom_iqa.reports.kept import kept_file, kept_runs, read_kept, write_kept
from zoom_iqa.reports.rendering import mean_and_spread
from zoom_iqa.reports.study import Difference, arm_and_seed, readme_table, said, said_over_seeds, study_arguments

HERE = Path(__file__).parent
SIZES = {"5 to 10 %": (0.0, 0.10), "10 to 15 %": (0.10, 0.15), "15 to 30 %": (0.15, 1.0)}
"""Shares of the image that regions take; sides are of whole pixels, so that a few lie beyond 5 or 30 %."""
OFTEN = ("never", "when asked", "always")
STAGES = ("SFT", "GRPO")
KINDS = {"all": (True, False), "regional": (True,), "others": (False,)}
"""Images by whether they are distorted in one region."""
Rows = Sequence[Mapping[str, Any]]
Arms = Mapping[str, Mapping[int, Mapping[str, Any]]]


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    arms = read(asked.runs, kept=asked.out / "controls")
    tables = {
        "places.csv": places(arms, asked.resamples),
        "sizes.csv": sizes(arms, asked.resamples),
        "looking.csv": looking(arms, asked.resamples),
        "gains.csv": gains(arms, asked.resamples),
        "same_images.csv": same_images(arms, asked.resamples),
        "look_rates.csv": look_rates(arms),
    }
    for name, (head, rows) in tables.items():
        with (asked.out / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([head, *rows])
        print(readme_table(head, rows), end="\n\n")


def read(runs: Path, *, kept: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """What was measured, by arm and seed; it is kept, and what was kept of policies that are not there is read, too."""
    for path in sorted(runs.glob("*_seed*/control.json")):
        write_kept(kept_file(kept, path.parent.name), json.loads(path.read_text(encoding="utf-8")))
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, path in kept_runs(kept).items():
        named = arm_and_seed(name)
        if named is not None:
            arm, seed = named
            found.setdefault(arm, {})[seed] = read_kept(path)
    return found


def places(arms: Arms, resamples: int) -> tuple[list[str], list[list[str]]]:
    """SRCC by the picture in the crop's place, and how often looks hit, beside chance."""
    head = [
        "arm",
        "seeds",
        "images",
        *PLACES,
        "asked minus random",
        "over seeds",
        "asked minus missing",
        "region minus asked",
        "looks",
        "looks that hit",
        "by chance",
    ]
    rows = []
    for arm, seeds in arms.items():
        own = [one["regional"] for one in seeds.values()]
        rows.append(
            [
                arm,
                str(len(seeds)),
                str(sum(len(rated(found, PLACES)) for found in own)),
                *(mean_srcc(own, name, PLACES) for name in PLACES),
                said(by_place := compared(own, "asked", "random place", resamples)),
                said_over_seeds(by_place),
                said(compared(own, "asked", "place that misses", resamples)),
                said(compared(own, "region", "asked", resamples)),
                str(sum(map(len, own))),
                *(mean_of([row[key] for found in own for row in found]) for key in ("hit", "chance")),
            ]
        )
    return head, rows


def sizes(arms: Arms, resamples: int) -> tuple[list[str], list[list[str]]]:
    """The same by the size of the region."""
    head = ["arm", "region's area", "images", *PLACES, "asked minus random", "looks that hit", "by chance"]
    rows = []
    for arm, seeds in arms.items():
        for size, (low, high) in SIZES.items():
            own = [[row for row in one["regional"] if low <= row["area"] < high] for one in seeds.values()]
            rows.append(
                [
                    arm,
                    size,
                    str(sum(len(rated(found, PLACES)) for found in own)),
                    *(mean_srcc(own, name, PLACES) for name in PLACES),
                    said(compared(own, "asked", "random place", resamples)),
                    *(mean_of([row[key] for found in own for row in found]) for key in ("hit", "chance")),
                ]
            )
    return head, rows


def looking(arms: Arms, resamples: int) -> tuple[list[str], list[list[str]]]:
    """SRCC never, when asked and always looking, by kind of image, and the cost of looking."""
    head = [
        "arm", "images", *OFTEN, "asked minus never", "always minus asked", "looks",
        *(f"seconds, {name}" for name in OFTEN), "seconds per 0.01 SRCC",
    ]  # fmt: skip
    rows = []
    for arm, seeds in arms.items():
        seconds = {name: statistics.fmean(one["when"]["seconds"][name] for one in seeds.values()) for name in OFTEN}
        for kind, regional in KINDS.items():
            own = [[row for row in one["when"]["rows"] if row["regional"] in regional] for one in seeds.values()]
            gain = compared(own, "when asked", "never", resamples)
            cost = [*(f"{seconds[name]:.3f}" for name in OFTEN), price(seconds["when asked"] - seconds["never"], gain)]
            rows.append(
                [
                    arm,
                    kind,
                    *(mean_srcc(own, name, OFTEN) for name in OFTEN),
                    said(gain),
                    said(compared(own, "always", "when asked", resamples)),
                    mean_of([row["looked"] for found in own for row in found]),
                    *(cost if kind == "all" else [""] * len(cost)),
                ]
            )
    return head, rows


def gains(arms: Arms, resamples: int) -> tuple[list[str], list[list[str]]]:
    """What GRPO changes: on the images of the second table, and on those of the first at which both policies look."""
    rows = []
    for arm, pairs in both_stages(arms).items():
        for kind, name in (("regional", "when asked"), ("regional, looked at", "asked"), ("others", "when asked")):
            before, after = both = [f"{stage} {name}" for stage in STAGES]
            own = [_of_both(_of_kind(sft, kind), _of_kind(grpo, kind)) for sft, grpo in pairs]
            images = str(sum(len(rated(found, both)) for found in own))
            srcc_of = [mean_srcc(own, one, both) for one in both]
            gain = compared(own, after, before, resamples)
            rows.append([arm, kind, images, *srcc_of, said(gain), said_over_seeds(gain)])
    return ["arm", "images distorted", "images", *STAGES, "GRPO minus SFT", "over seeds"], rows


def _of_kind(measured: Mapping[str, Any], kind: str) -> Rows:
    if kind == "regional, looked at":
        return measured["regional"]
    return [row for row in measured["when"]["rows"] if row["regional"] == (kind == "regional")]


def same_images(arms: Arms, resamples: int) -> tuple[list[str], list[list[str]]]:
    """Whether GRPO looks better: the regional images at which both policies look, and that all their answers rate."""
    head = ["arm", "seeds", "looked at by both", "hits, SFT", "hits, GRPO", "from miss to hit", "from hit to miss"]
    head += ["rated by both", "asked minus random, SFT", "asked minus random, GRPO", "change", "over seeds"]
    pictures = ("asked", "random place")
    old, new = ({f"{stage} {name}": sign for name, sign in zip(pictures, (1, -1), strict=True)} for stage in STAGES)
    names = [*old, *new]
    rows = []
    for arm, pairs in both_stages(arms).items():
        own = [_of_both(sft["regional"], grpo["regional"]) for sft, grpo in pairs]
        hits = [(bool(row["before"]["hit"]), bool(row["hit"])) for found in own for row in found]
        counts = (sum(sft for sft, _ in hits), sum(grpo for _, grpo in hits))
        turned = (sum(pair == (False, True) for pair in hits), sum(pair == (True, False) for pair in hits))
        told = [
            contrast(own, weights, names, resamples=resamples)
            for weights in (old, new, {**new, **{name: -sign for name, sign in old.items()}})
        ]
        rated_by_both = str(sum(len(rated(found, names)) for found in own))
        counted = map(str, (len(own), len(hits), *counts, *turned))
        rows.append([arm, *counted, rated_by_both, *map(said, told), said_over_seeds(told[-1])])
    return head, rows


def look_rates(arms: Arms) -> tuple[list[str], list[list[str]]]:
    """Whether GRPO looks less, and less where it does not help: shares of images looked at when asked."""
    rows = []
    for arm, pairs in both_stages(arms).items():
        shares = [tuple(map(_looked, pair)) for pair in pairs]
        for kind in ("regional", "others", "regional minus others"):
            by_seed = [grpo[kind] - sft[kind] for sft, grpo in shares]
            change = Difference(by_seed=by_seed, interval=None, images=0)
            levels = [mean_of([pair[stage][kind] for pair in shares], spread=True) for stage in range(len(STAGES))]
            each = " ".join(f"{one:+.3f}" for one in by_seed)
            rows.append([arm, kind, *levels, said(change), said_over_seeds(change), each])
    return ["arm", "images distorted", *STAGES, "GRPO minus SFT", "over seeds", "by seed"], rows


def _looked(measured: Mapping[str, Any]) -> dict[str, float]:
    regional, others = (
        statistics.fmean(row["looked"] for row in _of_kind(measured, kind)) for kind in ("regional", "others")
    )
    return {"regional": regional, "others": others, "regional minus others": regional - others}


def _of_both(sft: Rows, grpo: Rows) -> list[Mapping[str, Any]]:
    """The images of both, as GRPO has them, with the row ``before`` it and all ratings by policy and name."""
    before = {row["id"]: row for row in sft}
    return [
        {
            **row,
            "before": before[row["id"]],
            "ratings": {
                f"{stage} {name}": rating
                for stage, one in zip(STAGES, (before[row["id"]], row), strict=True)
                for name, rating in one["ratings"].items()
            },
        }
        for row in grpo
        if row["id"] in before
    ]


def both_stages(arms: Arms) -> dict[str, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]:
    """What was measured of SFT and of GRPO, by arm, of each seed that has both."""
    found = {}
    for arm in sorted(name.removesuffix("_grpo") for name in arms if name.endswith("_grpo")):
        before, after = arms.get(f"{arm}_sft", {}), arms[f"{arm}_grpo"]
        found[arm] = [(before[seed], after[seed]) for seed in after if seed in before]
    return found


def rated(rows: Rows, names: Collection[str]) -> list[Mapping[str, Any]]:
    """The images that have a rating under every name."""
    return [row for row in rows if all(row["ratings"].get(name) is not None for name in names)]


def columns(rows: Rows, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratings by name, and scores."""
    return np.array([[row["ratings"][name] for row in rows] for name in names]), np.array([row["mos"] for row in rows])


def srccs(ratings: NDArray[np.float64], mos: NDArray[np.float64]) -> NDArray[np.float64]:
    return spearman_rows(ratings, np.broadcast_to(mos, ratings.shape))


def mean_srcc(seeds: Sequence[Rows], name: str, names: Collection[str]) -> str:
    values = [srccs(*columns(own, [name]))[0] for rows in seeds if len(own := rated(rows, names)) > 2]
    return mean_of(values, spread=True)


def compared(seeds: Sequence[Rows], name: str, baseline: str, resamples: int) -> Difference | str:
    """SRCC under one name minus that under another, of the images rated under both names."""
    return contrast(seeds, {name: 1, baseline: -1}, (name, baseline), resamples=resamples)


def contrast(
    seeds: Sequence[Rows], signs: Mapping[str, int], names: Collection[str], *, resamples: int
) -> Difference | str:
    """SRCCs added with their signs, or why there is none; every seed has images of its own, as it looked at others."""
    tables = [(own, *columns(own, list(signs))) for rows in seeds if len(own := rated(rows, names)) > 2]
    by_seed = [float(srccs(ratings, mos) @ list(signs.values())) for _, ratings, mos in tables]
    images = sum(len(own) for own, _, _ in tables)
    if not tables or any(map(math.isnan, by_seed)):
        return "too few images are rated under " + " and ".join(names)
    if not resamples:
        return Difference(by_seed=by_seed, interval=None, images=images)
    photographs = sorted({row["photograph"] for own, _, _ in tables for row in own})
    members = [
        [[number for number, row in enumerate(own) if row["photograph"] == one] for one in photographs]
        for own, _, _ in tables
    ]

    def changed(drawn: NDArray[np.int64]) -> float:
        changes = []
        for (_, ratings, mos), places_of in zip(tables, members, strict=True):
            rows = [number for photograph in drawn for number in places_of[photograph]]
            found = srccs(ratings[:, rows], mos[rows]) if len(rows) > 2 else np.full(len(signs), math.nan)
            changes.append(float(found @ list(signs.values())))
        return statistics.fmean(changes)

    found = value_or_undefined(
        statistic_interval, " ".join(signs), changed, len(photographs), n_resamples=resamples, seed=0
    )
    return Difference(by_seed=by_seed, interval=None if isinstance(found, Undefined) else found, images=images)


def mean_of(values: Sequence[float], *, spread: bool = False) -> str:
    if not values:
        return ""
    return mean_and_spread(values if spread else [statistics.fmean(values)])


def price(seconds: float, gain: Difference | str) -> str:
    """CPU seconds an image that a hundredth of SRCC costs; there is no price where no gain is told from zero."""
    if isinstance(gain, str) or gain.sign != "+":
        return "no gain told"
    return f"{seconds / (100 * gain.value):.3f}"


if __name__ == "__main__":
    main()
