"""The level of a policy on photographs that its making has not seen: greedy answers, expected ratings, a ridge.

python experiments/tiny_policy/levels.py POLICY OUT --photographs runs/tiny_policy/photographs [--device cuda]

OUT gets levels.csv and what the policy answered; a run that was stopped goes on. The ridge regression reads mean and
spread of the tower's tokens and is fitted on the making's photographs. "ridge within" is fitted on other photographs of
the set it judges, by ten folds: where that is no better, a lower level is of harder photographs and not of what does
not carry over to them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.utils.data import DataLoader, Dataset

from zoom_iqa.base.records import Record
from zoom_iqa.base.types import ImagePart
from zoom_iqa.config.composition import composed
from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import FOLDER
from zoom_iqa.data.embedded.pictures import FolderPictures, Pictures, ShippedPictures
from zoom_iqa.metrics.correlation import plcc, srcc
from zoom_iqa.metrics.intervals import bootstrap_interval
from zoom_iqa.peers.ridge import fit_ridge
from zoom_iqa.policy.encoding import EncodedImage
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import encode_images
from zoom_iqa.tiny_policy.collection import collect, table

STRENGTHS = (1, 3, 10, 30, 100, 300, 1000, 3000)
FOLDS = 10
FEWEST = 20  # images of a part that has a correlation
COLUMNS = ("photographs", "part", "judge", "n", "srcc", "low", "high", "plcc", "bias", "mae", "bias_sd")
Array = np.ndarray


@dataclass(frozen=True)
class Judged:
    """Images with what is known of each, and the ratings of each judge; NaN where there is none."""

    mos: Array
    photograph: Array
    parts: Mapping[str, Array]
    ratings: Mapping[str, Array]


class Encoded(Dataset[EncodedImage]):
    def __init__(self, images: ImageDataset, policy: Policy) -> None:
        self._images, self._policy = images, policy

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> EncodedImage:
        return self._policy.images(ImagePart.of(self._images[index].image))


@torch.no_grad()
def features(policy: Policy, images: ImageDataset, workers: int) -> Array:
    def rows() -> Iterator[Array]:
        loader = DataLoader(
            Encoded(images, policy), batch_size=16, num_workers=workers, collate_fn=as_list,
            worker_init_fn=single_thread_worker,
        )  # fmt: skip
        for batch in loader:
            for tokens in encode_images(policy.model, batch):
                yield torch.cat([tokens.mean(0), tokens.std(0, correction=0)]).double().cpu().numpy()

    return np.stack(list(rows()))


def a_set(split: str, pictures: Pictures, size: int, seed: int, fitted: bool) -> EmbeddedSet:
    return EmbeddedSet(
        split=split, size=size, seed=seed, local_fraction=0.25, pristine_fraction=0.03, procedural_fraction=0.0,
        continuous_levels=fitted, augmented=fitted, references=None, pictures=pictures,
    )  # fmt: skip


def sources() -> dict[str, str]:
    """Of each photograph: what the shipped ones show, and the package of others."""
    of = {one.name: one.package for one in table()}
    shown = csv.DictReader((FOLDER / "ATTRIBUTION.csv").read_text(encoding="utf-8").splitlines())
    return of | {row["file"].removesuffix(".jpg"): row["content"] for row in shown}


def parts_of(images: EmbeddedSet) -> dict[str, Array]:
    of = sources()
    local = np.array([recipe.extent is not None for recipe in images.recipes])
    kind = np.array(["pristine" if recipe.kind is None else recipe.kind.name for recipe in images.recipes])
    source = np.array([of[recipe.photograph] for recipe in images.recipes])
    return {
        "all": np.ones(len(local), bool), "all over": ~local, "region": local,
        **{f"of {name}": source == name for name in sorted(set(source))},
        **{f"type {name}": kind == name for name in sorted(set(kind))},
    }  # fmt: skip


def answered(records: Sequence[Record], images: EmbeddedSet) -> dict[str, Array]:
    found = {record.example.id: record for record in records}
    in_order = [found[example.id] for example in images.items()]
    return {
        "greedy": np.array([np.nan if one.rating is None else one.rating for one in in_order]),
        "expected": np.array([np.nan if one.expected is None else one.expected.mean for one in in_order]),
    }


def within(features_NF: Array, mos_N: Array, photograph_N: Array) -> Array:
    """Each image rated by a ridge on those of photographs in the other folds."""
    ratings_N = np.zeros(len(mos_N))
    photographs = np.random.default_rng(0).permutation(np.unique(photograph_N))
    for fold in range(FOLDS):
        out_N = np.isin(photograph_N, photographs[fold::FOLDS])
        line = fit_ridge(features_NF[~out_N], mos_N[~out_N], STRENGTHS)
        ratings_N[out_N] = [line(row) for row in features_NF[out_N]]
    return ratings_N


def rows_of(name: str, judged: Judged) -> Iterator[list[object]]:
    for part, chosen in judged.parts.items():
        for judge, ratings in judged.ratings.items():
            rated = chosen & ~np.isnan(ratings)
            x, y, photograph = ratings[rated], judged.mos[rated], judged.photograph[rated]
            by_photograph = [float((x - y)[photograph == one].mean()) for one in sorted(set(photograph))]
            row: list[object] = [name, part, judge, len(x), *correlations(x, y, photograph)]
            row += [float((x - y).mean()), float(abs(x - y).mean()), float(np.std(by_photograph))]
            yield [f"{value:.3f}" if isinstance(value, float) else value for value in row]


def correlations(x: Array, y: Array, photograph: Array) -> list[object]:
    """SRCC, its interval over photographs, and PLCC; empty where a part is small or of one score."""
    if len(x) < FEWEST or len(set(photograph)) < 8 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return ["", "", "", ""]
    interval = bootstrap_interval(x, y, metric="srcc", n_resamples=1000, seed=0, clusters=photograph.tolist())
    return [srcc(x, y), interval.low, interval.high, plcc(x, y)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("policy")
    parser.add_argument("out", type=Path)
    parser.add_argument("--photographs", type=Path, default=Path("runs/tiny_policy/photographs"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--fit", type=int, default=3000, help="images that the ridge is fitted on")
    parser.add_argument("--size", type=int, default=1360, help="images of each set that are judged")
    asked = parser.parse_args()
    collect(asked.photographs, table())
    asked.out.mkdir(parents=True, exist_ok=True)
    given = [f"policy.path={asked.policy}", "evaluator=greedy", f"machine.workers={asked.workers}"]
    cfg = composed("evaluate", given)
    OmegaConf.resolve(cfg)
    policy: Policy = instantiate(cfg.policy)
    policy.model.to(asked.device).eval()
    made = a_set("train", FolderPictures(folder=str(asked.photographs / "make"), varied=True), asked.fit, 7, True)
    line = fit_ridge(features(policy, made, asked.workers), np.array([e.mos for e in made.items()]), STRENGTHS)
    others = FolderPictures(folder=str(asked.photographs / "judge"), varied=False)
    with (asked.out / "levels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        judged_on: dict[str, Pictures] = {"test": ShippedPictures(split="test"), "elsewhere": others}
        for name, pictures in judged_on.items():
            images = a_set("test", pictures, asked.size, 0, False)
            path = asked.out / f"{name}.jsonl"
            records = instantiate(cfg.evaluator)(dataset=images).run(policy, path=path, title=name)
            seen = features(policy, images, asked.workers)
            mos = np.array([example.mos for example in images.items()])
            photograph = np.array([recipe.photograph for recipe in images.recipes])
            ridges = {"ridge": np.array([line(row) for row in seen]), "ridge within": within(seen, mos, photograph)}
            judged = Judged(
                mos=mos,
                photograph=photograph,
                parts=parts_of(images),
                ratings={**answered(records, images), **ridges},
            )
            writer.writerows(rows_of(name, judged))
            formed = np.mean([record.well_formed for record in records])
            print(f"{name}: {len(images)} images, {formed:.3f} of the answers well-formed", flush=True)


if __name__ == "__main__":
    main()
