"""What each lever of the tower's making brings: short towers from random weights, each but for one lever alike.

python experiments/tiny_policy/levers.py PHOTOGRAPHS OUT [--seconds 480] [device=cuda workers=15 vision.steps=600 ...]

OUT gets what a ridge on each tower rates (towers that are there are not made again) and levers.csv. Four more towers
each leave a quarter of the photographs out and are judged on them: together, every photograph is held out once (one
picture in seven holds a part of a second photograph, which another quarter may have). All towers are short, so they
compare levers and are weaker than the shipped one.
"""

from __future__ import annotations

import argparse
import copy
import csv
import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from levels import STRENGTHS, a_set

from zoom_iqa.config.composition import composed
from zoom_iqa.config.tiny_policy_run import untrained
from zoom_iqa.data.embedded.photographs import photographs
from zoom_iqa.data.embedded.pictures import FolderPictures, Pictures, ShippedPictures
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import bootstrap_difference, bootstrap_interval
from zoom_iqa.peers.ridge import fit_ridge
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.collection import collect, table
from zoom_iqa.tiny_policy.tower import TowerWarmup, view_tokens
from zoom_iqa.tiny_policy.views import ViewPool, Views

FOLDS = 4
FITTED, HELD_OUT = 3000, 1500  # whole views at most
BASE = ("images=${embedded}", "embedded.procedural_fraction=0.1")
COLUMNS = ("tower", "judged on", "part", "n", "srcc", "low", "high", "minus as made", "minus_low", "minus_high")
Array = np.ndarray
Rated = dict[str, Array]
"""By "SET FIGURE": the ridge's ``scores``, the ``mos``, the ``photograph`` and whether a distortion is ``local``."""


@dataclass(frozen=True, kw_only=True)
class Tower:
    """Overrides that change its ``views`` and others; the photographs that it sees."""

    name: str
    views: tuple[str, ...] = ()
    others: tuple[str, ...] = ("vision.teacher=null",)
    shipped_alone: bool = False
    fold: int | None = None

    def file(self, out: Path) -> Path:
        """Where its ratings are kept."""
        return out / f"{self.name.replace(' ', '_')}.npz"

    def seen(self, names: Sequence[str], picture_B: Array) -> Array:
        """Which views of the pool it learns from."""
        if self.shipped_alone:
            shipped = np.array([photographs().get(name) == "train" for name in names])
            return shipped[picture_B]
        return np.ones(len(picture_B), bool) if self.fold is None else picture_B % FOLDS != self.fold


ALL = "as made"


def towers(steps: int) -> list[Tower]:
    return [
        Tower(name=ALL),
        Tower(name="photographs of the package alone", shipped_alone=True),
        Tower(name="half the steps", others=("vision.teacher=null", f"vision.steps={steps // 2}")),
        *(Tower(name=f"fold {fold}", fold=fold) for fold in range(FOLDS)),
        Tower(name="with the teacher", others=()),
        Tower(name="each picture the whole photograph", views=("pictures.varied=false",)),
        Tower(name="256x192 pixels", views=("vision.view_height=192", "vision.view_width=256")),
    ]


@dataclass(frozen=True)
class Bench:
    """The views of one kind: to learn from, and to judge by."""

    names: Sequence[str]
    pool: ViewPool
    judged: dict[str, Views]


@functools.lru_cache(maxsize=1)  # towers of the same views follow one another, and a pool holds gigabytes
def bench(overrides: tuple[str, ...], folder: Path, judged: int) -> Bench:
    cfg = composed("make_tiny_policy", overrides)
    maker = instantiate(cfg.vision)
    elsewhere = FolderPictures(folder=str(folder / "judge"), varied=False)
    return Bench(
        names=instantiate(cfg.images).picture_names,
        pool=maker(teacher=None).pool(),
        judged={
            "test": judged_views(maker, ShippedPictures(split="test"), judged),
            "elsewhere": judged_views(maker, elsewhere, judged),
        },
    )


def judged_views(maker: Any, pictures: Pictures, size: int) -> Views:
    images = a_set("test", pictures, size, 0, False)
    kept: Views = maker(images=images, teacher=None, pool_views=2 * size).pool().kept
    return kept


@functools.cache
def start(overrides: tuple[str, ...]) -> Policy:
    """What every tower starts from."""
    return untrained(composed("make_tiny_policy", overrides))


def made(tower: Tower, overrides: Sequence[str], asked: argparse.Namespace) -> Rated:
    """Make it, fit a ridge on whole views that it saw, and rate what it is judged on."""
    cfg = composed("make_tiny_policy", [*overrides, *tower.views, *tower.others])
    on = bench((*overrides, *tower.views), asked.photographs, asked.judged)
    views = on.pool.kept
    picture_B = views.picture_B.cpu().numpy()
    seen_B = tower.seen(on.names, picture_B)
    policy = copy.copy(start(tuple(overrides)))
    policy.model = copy.deepcopy(policy.model)
    on.pool.draw_among(np.flatnonzero(seen_B))
    learner: TowerWarmup = instantiate(cfg.vision)()
    learner.learn(policy, on.pool, refresh=False)
    fitted = whole(seen_B)[:FITTED]
    line = fit_ridge(features(policy, views, fitted, cfg.device), views.mos_B.cpu().numpy()[fitted], STRENGTHS)
    asked_of = {name: (judged, whole(np.ones(len(judged.mos_B), bool))) for name, judged in on.judged.items()}
    if tower.fold is not None:
        asked_of = {"held out": (views, whole(~seen_B)[:HELD_OUT])}
    found: Rated = {}
    for name, (judged, rows) in asked_of.items():
        found[f"{name} scores"] = np.array([line(row) for row in features(policy, judged, rows, cfg.device)])
        found |= {
            f"{name} {figure}": values.cpu().numpy()[rows]
            for figure, values in (("mos", judged.mos_B), ("photograph", judged.picture_B), ("local", judged.local_B))
        }
    return found


def whole(chosen_B: Array) -> Array:
    """Rows of whole images among the chosen: each image gives two views, the whole one first."""
    rows = np.flatnonzero(chosen_B)
    return rows[rows % 2 == 0]


@torch.no_grad()
def features(policy: Policy, views: Views, rows: Array, device: str) -> Array:
    """Of whole views: mean and spread of their tokens."""
    policy.model.model.visual.to(device).eval()
    out = []
    for part in np.array_split(rows, max(1, len(rows) // 64)):
        tokens = view_tokens(policy, views.pixels_BHW3[torch.from_numpy(part).to(device)])
        out.append(torch.cat([tokens.mean(1), tokens.std(1, correction=0)], -1).double().cpu().numpy())
    policy.model.model.visual.cpu()
    return np.concatenate(out)


def lines(rated: dict[str, Rated]) -> Iterator[list[object]]:
    for name, found in rated.items():
        for of in dict.fromkeys(key.rsplit(" ", 1)[0] for key in found):
            scores, mos, photograph, local = (found[f"{of} {key}"] for key in ("scores", "mos", "photograph", "local"))
            base = None if name == ALL else rated.get(ALL, {}).get(f"{of} scores")  # of the same images
            for part, chosen in (("all", np.ones(len(mos), bool)), ("all over", ~local), ("region", local)):
                x, y, clusters = scores[chosen], mos[chosen], photograph[chosen].tolist()
                interval = bootstrap_interval(x, y, metric="srcc", n_resamples=1000, seed=0, clusters=clusters)
                change = ["", "", ""] if base is None else against(base[chosen], x, y, clusters)
                yield [name, of, part, len(x), srcc(x, y), interval.low, interval.high, *change]


def against(base: Array, scores: Array, mos: Array, clusters: list[int]) -> list[object]:
    """SRCC less that of the tower as made, paired over photographs."""
    change = bootstrap_difference(scores, base, mos, metric="srcc", n_resamples=1000, seed=0, clusters=clusters)
    return [srcc(scores, mos) - srcc(base, mos), change.low, change.high]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judged", type=int, default=1360)
    parser.add_argument("--seconds", type=float, default=1e9, help="start no tower after this")
    parser.add_argument("overrides", nargs="*")
    asked = parser.parse_intermixed_args()
    begun = time.monotonic()
    torch.set_float32_matmul_precision("high")
    collect(asked.photographs, table())
    asked.out.mkdir(parents=True, exist_ok=True)
    overrides = [*BASE, f"paths.photographs={asked.photographs}", *asked.overrides]
    chosen = towers(composed("make_tiny_policy", overrides).vision.steps)
    for tower in chosen:
        path = tower.file(asked.out)
        if path.exists() or time.monotonic() - begun > asked.seconds:
            continue
        print(f"{tower.name}, after {time.monotonic() - begun:.0f} s", flush=True)
        staged = path.with_suffix(".part.npz")
        figures: dict[str, Any] = made(tower, overrides, asked)
        np.savez(staged, **figures)
        staged.rename(path)
    write(asked.out, chosen)


def write(out: Path, chosen: Sequence[Tower]) -> None:
    """levers.csv of the towers that are there; folds count together once all of them are."""
    rated = {tower.name: dict(np.load(tower.file(out))) for tower in chosen if tower.file(out).exists()}
    folds = [rated.pop(f"fold {fold}") for fold in range(FOLDS) if f"fold {fold}" in rated]
    if len(folds) == FOLDS:
        rated["every photograph held out once"] = {key: np.concatenate([one[key] for one in folds]) for key in folds[0]}
    with (out / "levers.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in lines(rated):
            writer.writerow([f"{value:.3f}" if isinstance(value, float) else value for value in line])
    print((out / "levers.csv").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
