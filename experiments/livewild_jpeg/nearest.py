"""The training image nearest to each test image, by what it shows and by its file number: how far a split divides.

ZOOM_IQA_DATA=/folder python experiments/livewild_jpeg/nearest.py held_out livewild_scenes [--sheet FOLDER]

Likeness is the correlation of thumbnails of 16 x 16 pixels without their mean colour. ``--sheet`` draws the 24 likest
pairs of each split for the eye; they are others' photographs, so they stay on your disk.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from PIL import Image

from zoom_iqa.base.types import Example
from zoom_iqa.config.composition import composed
from zoom_iqa.data.benchmarks import Benchmark
from zoom_iqa.metrics.correlation import srcc

SIDE, SHOWN, TILE = 16, 24, 160
FLOOR = 4.0  # grey levels added to a thumbnail's spread, so that fog is not like fog
ALIKE = (0.7, 0.8)
COLUMNS = ("split", "test", "train", "likeness", "numbers_apart")


def thumbnails(paths: list[str]) -> np.ndarray:
    """Unit vectors (N, 16 * 16 * 3)."""
    rows = []
    for path in paths:
        with Image.open(path) as image:
            image.draft("RGB", (4 * SIDE, 4 * SIDE))
            small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
        centred = np.asarray(small, np.float64) - np.asarray(small, np.float64).mean((0, 1))
        rows.append((centred / (centred.std() + FLOOR)).ravel())
    stacked = np.stack(rows)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True))


def path_of(example: Example) -> str:
    path = example.images[0].path
    assert path is not None, "the images of this set are files"
    return path


def number(path: str) -> int:
    return int(re.findall(r"[0-9]+", Path(path).name)[0])


def images_of(split: str) -> dict[str, list[Example]]:
    benchmark: Benchmark = instantiate(composed("benchmark/livewild_jpeg", [f"benchmark/split={split}"]).benchmark)
    return {
        name: list(benchmark.images(name, max_pixels=None, upright=True, size=None).items())
        for name in ("train", "val", "test")
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("splits", nargs="+", help="choices of benchmark/split")
    parser.add_argument("--sheet", type=Path)
    asked = parser.parse_args()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split in asked.splits:
        images = images_of(split)
        seen, test = [*images["train"], *images["val"]], images["test"]
        paths, tested = [path_of(one) for one in seen], [path_of(one) for one in test]
        numbers, of_test = np.array([number(path) for path in paths]), np.array([number(path) for path in tested])
        likeness = thumbnails(tested) @ thumbnails(paths).T
        apart = abs(of_test[:, None] - numbers[None])
        nearest, neighbour = likeness.argmax(1), apart.argmin(1)
        order = np.argsort(-likeness.max(1))
        for row in order[:SHOWN]:
            place = nearest[row]
            writer.writerow([split, of_test[row], numbers[place], f"{likeness[row, place]:.3f}", apart[row, place]])
        by_number = srcc([seen[place].mos for place in neighbour], [one.mos for one in test])
        like = ", ".join(f"{(likeness.max(1) > least).sum()} above {least}" for least in ALIKE)
        print(
            f"# {split}: {len(seen)} train and val, {len(test)} test; nearest pairs {like}; nearest file number "
            f"{apart.min()} to {apart.min(1).max()} away, its score predicts the test scores at SRCC {by_number:.2f}",
            flush=True,
        )
        if asked.sheet is not None:
            sheet([(tested[row], paths[nearest[row]]) for row in order[:SHOWN]], asked.sheet / f"{split}.png")


def sheet(pairs: list[tuple[str, str]], place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    across = 4
    canvas = Image.new("RGB", (across * 2 * TILE, -(-len(pairs) // across) * TILE))
    for index, pair in enumerate(pairs):
        for side, path in enumerate(pair):
            with Image.open(path) as image:
                tile = image.convert("RGB").resize((TILE - 2, TILE - 2))
            canvas.paste(tile, ((index % across * 2 + side) * TILE, index // across * TILE))
    canvas.save(place)


if __name__ == "__main__":
    main()
