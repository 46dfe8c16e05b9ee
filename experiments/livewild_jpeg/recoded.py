"""The shipped policy, untuned, on the same photographs as bitmaps and as JPEG at 75: format, agreement, change.

ZOOM_IQA_DATA=/folder python experiments/livewild_jpeg/recoded.py OUT [--policy FOLDER --limit 300]

The files are JPEGs at 75 already, so coding them again changes next to nothing: 4 rows and columns are cut off, so that
the new blocks lie across the old ones. ``change`` and ``srcc_with`` compare with the coding named under ``against``.
OUT gets recoded.csv and the answers; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import Dataset

from zoom_iqa.base.types import Example, Sample
from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.distortions.compression import jpeg_coded
from zoom_iqa.data.subset import FixedSubset
from zoom_iqa.evaluation.figures import figures_of, ratings_by_image
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import bootstrap_interval
from zoom_iqa.peers.niqe import NIQE

CODINGS = {  # pixels cut off, quality of the JPEG (None for none), the coding compared with
    "bitmap": (0, None, "bitmap"),
    "cut": (4, None, "bitmap"),
    "cut_jpeg75": (4, 75, "cut"),
}
RATES = ("format_rate", "valid_rate", "crop_rate")  # over answers
COLUMNS = ("judge", "as", "n", "srcc", "low", "high", *RATES, "against", "change", "srcc_with")
Array = np.ndarray


class Recoded(Dataset[Sample]):
    """The images of a set without their first rows and columns, encoded as JPEG and decoded again where asked."""

    def __init__(self, images: ImageDataset, cut: int, quality: int | None) -> None:
        self._images, self._cut, self._quality = images, cut, quality

    def __len__(self) -> int:
        return len(self._images)

    def items(self) -> Sequence[Example]:
        return self._images.items()

    def __getitem__(self, index: int) -> Sample:
        sample = self._images[index]
        image = sample.image.crop((self._cut, self._cut, *sample.image.size))
        if self._quality is not None:
            image = Image.fromarray(jpeg_coded(np.array(image), self._quality))
        return Sample.of(sample.example, image)


def numbers(ratings: Array, mos: Array, other: Array, figures: Mapping[str, Any], against: str) -> list[object]:
    rated = ~np.isnan(ratings)
    both = rated & ~np.isnan(other)
    interval = bootstrap_interval(ratings[rated], mos[rated], metric="srcc", n_resamples=1000, seed=0)
    values: list[object] = [int(rated.sum()), srcc(ratings[rated], mos[rated]), interval.low, interval.high]
    values += [figures.get(key, "") for key in RATES]
    values += [against, float(abs(ratings - other)[both].mean()), srcc(ratings[both], other[both])]
    return [f"{value:.3f}" if isinstance(value, float) else value for value in values]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--policy", default=None, help="a folder; without it the shipped policy")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--samples", type=int, default=4)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    given = [] if asked.policy is None else [f"policy.path={asked.policy}"]
    cfg = compose_config([*given, "benchmark=livewild_jpeg", f"samples_per_image={asked.samples}", "machine.workers=0"])
    OmegaConf.resolve(cfg)
    policy, niqe = instantiate(cfg.policy), NIQE()
    whole = instantiate(cfg.benchmarks.livewild_jpeg).images("all", max_pixels=None, upright=True, size=None)
    images = FixedSubset(dataset=whole, limit=asked.limit)
    mos = np.array([example.mos for example in images.items()])
    rated: dict[tuple[str, str], Array] = {}
    with (asked.out / "recoded.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, (cut, quality, against) in CODINGS.items():
            recoded = Recoded(images, cut, quality)
            records = instantiate(cfg.evaluator)(dataset=recoded).run(
                policy, path=asked.out / f"{name}.jsonl", title=name
            )
            figures = figures_of(records, None)
            means = ratings_by_image(records)
            expected = np.array([np.nan if one.expected is None else one.expected for one in means])
            ratings = np.array([np.nan if one.rating is None else one.rating for one in means])
            blind = np.array([-niqe.score(recoded[index].image) for index in range(len(recoded))])
            judges = {f"mean of {asked.samples}": ratings, "expected": expected, "NIQE": blind}
            for judge, values in judges.items():
                rated[judge, name] = values
                told = {} if judge == "NIQE" else figures
                writer.writerow([judge, name, *numbers(values, mos, rated[judge, against], told, against)])
    print((asked.out / "recoded.csv").read_text())


if __name__ == "__main__":
    main()
