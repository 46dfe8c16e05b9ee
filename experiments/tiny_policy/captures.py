"""What a ridge on a policy's tower makes of real photographs, by the made images that it was fitted on.

ZOOM_IQA_DATA=/folder/that/holds/livec python experiments/tiny_policy/captures.py POLICY [--photographs FOLDER]
ZOOM_IQA_DATA=/folder/that/holds/livec python experiments/tiny_policy/captures.py --network

It tells which made images resemble real ones before any policy is made. ``--network`` reads EfficientNet-Lite0's
features, the teacher's, in place of a tower's. Nothing is written but what is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from levels import STRENGTHS, a_set, features
from omegaconf import OmegaConf

from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.data.captured.images import CapturedSet
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.embedded.pictures import FolderPictures
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import bootstrap_interval
from zoom_iqa.peers.backbone import EfficientNetLite0
from zoom_iqa.peers.ridge import fit_ridge
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.collection import collect, table

Array = np.ndarray
BLOCKS = 5


def agreement(ratings: Array, mos: Array) -> str:
    interval = bootstrap_interval(ratings, mos, metric="srcc", n_resamples=1000, seed=0)
    return f"{srcc(ratings, mos):.3f} [{interval.low:.2f}, {interval.high:.2f}]"


def of_tower(policy: Policy) -> Callable[[ImageDataset], Array]:
    policy.model.eval()
    return lambda images: features(policy, images, 0)


def of_network() -> Callable[[ImageDataset], Array]:
    network = EfficientNetLite0()
    return lambda images: np.stack([network.features(images[index].image) for index in range(len(images))])


def by_blocks(real: Array, mos: Array, numbers: Array) -> Array:
    """Ratings of each block of neighbouring file numbers by a ridge on the other blocks."""
    ratings = np.empty(len(mos))
    order = np.argsort(numbers)
    for block in np.array_split(order, BLOCKS):
        others = np.setdiff1d(order, block)
        line = fit_ridge(real[others], mos[others], STRENGTHS)
        ratings[block] = [line(row) for row in real[block]]
    return ratings


def main() -> None:
    parser = argparse.ArgumentParser()
    read = parser.add_mutually_exclusive_group(required=True)
    read.add_argument("policy", nargs="?")
    read.add_argument("--network", action="store_true", help="read EfficientNet-Lite0; needs the extra peers")
    parser.add_argument("--photographs", type=Path, default=Path("runs/tiny_policy/photographs"))
    parser.add_argument("--fit", type=int, default=1500, help="made images of each kind")
    parser.add_argument("--limit", type=int, default=None, help="so many of the real photographs")
    asked = parser.parse_args()
    given = [] if asked.network else [f"policy.path={asked.policy}"]
    cfg = compose_config([*given, "benchmark=livewild_jpeg", "machine.workers=0"])
    OmegaConf.resolve(cfg)
    read_features = of_network() if asked.network else of_tower(instantiate(cfg.policy))
    photographs = instantiate(cfg.benchmarks.livewild_jpeg).images(
        "all", max_pixels=None, upright=True, size=asked.limit
    )
    collect(asked.photographs, [one for one in table() if one.role == "make"])
    pictures = FolderPictures(folder=str(asked.photographs / "make"), varied=True)
    made = {
        "embedded": a_set("train", pictures, asked.fit, 7, True),
        "captured": CapturedSet(pictures=pictures, size=asked.fit, seed=9),
    }
    real = read_features(photographs)
    mos = np.array([example.mos for example in photographs.items()])
    seen = {name: read_features(images) for name, images in made.items()}
    truth = {name: np.array([example.mos for example in images.items()]) for name, images in made.items()}
    for names in (["embedded"], ["captured"], ["embedded", "captured"]):
        line = fit_ridge(np.concatenate([seen[n] for n in names]), np.concatenate([truth[n] for n in names]), STRENGTHS)
        print(" and ".join(names), agreement(np.array([line(row) for row in real]), mos), flush=True)
    numbers = np.array([int(Path(example.images[0].path or "0").stem) for example in photographs.items()])
    print(f"real photographs, in {BLOCKS} blocks", agreement(by_blocks(real, mos, numbers), mos))


if __name__ == "__main__":
    main()
