"""How far features of an image carry to other photographs: the tower's, and energies of its bands that it could know.

python experiments/tiny_policy/features.py POLICY OUT --photographs runs/tiny_policy/photographs

OUT gets features.csv: SRCC of ridges and of Gaussian kernels, on test and elsewhere as levels.py has them. Energies are
of the 8 x 8 cosine transform, of luma and both chromas, over an image: each coefficient's mean logarithm, its spread,
and the logarithm of its mean; of the view that the tower is given, or of the image's own pixels. A kernel's width and
strength are chosen on a quarter of the photographs that are fitted on, so that neither set is seen.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from levels import STRENGTHS, a_set
from omegaconf import OmegaConf
from PIL import Image

from zoom_iqa.base.types import ImagePart
from zoom_iqa.config.composition import composed
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.pictures import FolderPictures, ShippedPictures
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import bootstrap_interval
from zoom_iqa.peers.ridge import fit_ridge
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import encode_images
from zoom_iqa.tiny_policy.collection import collect, table
from zoom_iqa.tiny_policy.cosines import cosine_basis

VIEW = (384, 288)
YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
SETS = (("tower",), ("view",), ("pixels",), ("tower", "view"), ("tower", "pixels"))
WIDTHS, PENALTIES = (0.3, 1.0), (0.03, 0.1, 0.3)  # of a kernel, per feature; of its coefficients
FARTHEST = 5.0  # spreads from the mean: what lies farther is moved there
Array = np.ndarray
Rater = Callable[[Array], Array]


def energies(image: Image.Image) -> Array:
    """3 x 3 x 64 numbers of the image's whole blocks."""
    planes = np.asarray(image, dtype=np.float64) @ YCBCR.T / 255
    height, width = (side // 8 * 8 for side in planes.shape[:2])
    blocks = planes[:height, :width].reshape(height // 8, 8, width // 8, 8, 3).transpose(4, 0, 2, 1, 3)
    basis = cosine_basis(8).double().numpy()
    squares = (basis @ blocks.reshape(3, -1, 8, 8) @ basis.T) ** 2
    logs = np.log(squares + 1e-6)
    return np.stack([np.log(squares.mean(1) + 1e-7), logs.mean(1), logs.std(1)]).ravel()


@torch.no_grad()
def rows_of(policy: Policy, images: EmbeddedSet) -> dict[str, Array]:
    found: dict[str, list[Array]] = {"tower": [], "view": [], "pixels": []}
    for index in range(len(images)):
        image = images[index].image
        (tokens,) = encode_images(policy.model, [policy.images(ImagePart.of(image))])
        found["tower"].append(torch.cat([tokens.mean(0), tokens.std(0, correction=0)]).double().numpy())
        found["view"].append(energies(image.resize(VIEW if image.width > image.height else VIEW[::-1])))
        found["pixels"].append(energies(image))
    return {name: np.stack(rows) for name, rows in found.items()}


def ridge(features_NF: Array, mos_N: Array, photograph_N: Array) -> Rater:
    line = fit_ridge(features_NF, mos_N, STRENGTHS)
    return lambda rows_MF: np.array([line(row) for row in rows_MF])


def kernel(features_NF: Array, mos_N: Array, photograph_N: Array) -> Rater:
    names = np.unique(photograph_N)
    kept_N = ~np.isin(photograph_N, np.random.default_rng(0).choice(names, len(names) // 4, replace=False))
    distances_NN = squared_distances(features_NF, features_NF)

    def held_out(width: float, penalty: float) -> float:
        near_NN = np.exp(-width * distances_NN)
        weights_K = np.linalg.solve(near_NN[np.ix_(kept_N, kept_N)] + penalty * np.eye(kept_N.sum()), mos_N[kept_N] - 3)
        return srcc(near_NN[np.ix_(~kept_N, kept_N)] @ weights_K, mos_N[~kept_N])

    width, penalty = max(((w, p) for w in WIDTHS for p in PENALTIES), key=lambda pair: held_out(*pair))
    weights_N = np.linalg.solve(np.exp(-width * distances_NN) + penalty * np.eye(len(mos_N)), mos_N - 3)
    return lambda rows_MF: 3 + np.exp(-width * squared_distances(rows_MF, features_NF)) @ weights_N


def squared_distances(rows_MF: Array, others_NF: Array) -> Array:
    """A feature's mean: of the sum over features by their number."""
    squares = (rows_MF**2).sum(1)[:, None] + (others_NF**2).sum(1)[None] - 2 * rows_MF @ others_NF.T
    distances: Array = np.maximum(squares, 0) / rows_MF.shape[1]
    return distances


def joined(rows: Mapping[str, Array], names: Sequence[str], scale: tuple[Array, Array]) -> Array:
    standard = (np.concatenate([rows[name] for name in names], 1) - scale[0]) / scale[1]
    return np.clip(standard, -FARTHEST, FARTHEST)


def judged(
    fitted: tuple[EmbeddedSet, dict[str, Array]], others: Mapping[str, tuple[EmbeddedSet, dict[str, Array]]]
) -> Iterator[list[object]]:
    images, rows = fitted
    mos, photograph = scores(images)
    for names in SETS:
        whole = np.concatenate([rows[name] for name in names], 1)
        scale = whole.mean(0), np.maximum(whole.std(0), 1e-9)
        for judge, fit in (("ridge", ridge), ("kernels", kernel)):
            rate = fit(joined(rows, names, scale), mos, photograph)
            for place, (shown, features) in others.items():
                ratings = rate(joined(features, names, scale))
                yield [" + ".join(names), judge, place, *agreement(ratings, shown)]


def scores(images: EmbeddedSet) -> tuple[Array, Array]:
    photograph = np.array([recipe.photograph for recipe in images.recipes])
    return np.array([example.mos for example in images.items()]), photograph


def agreement(ratings: Array, images: EmbeddedSet) -> list[str]:
    mos, photograph = scores(images)
    local = np.array([recipe.extent is not None for recipe in images.recipes])
    found = []
    for part in (np.ones(len(mos), bool), ~local, local):
        x, y, clusters = ratings[part], mos[part], photograph[part].tolist()
        interval = bootstrap_interval(x, y, metric="srcc", n_resamples=1000, seed=0, clusters=clusters)
        found += [srcc(x, y), interval.low, interval.high]
    return [f"{value:.3f}" for value in found]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("policy")
    parser.add_argument("out", type=Path)
    parser.add_argument("--photographs", type=Path, default=Path("runs/tiny_policy/photographs"))
    parser.add_argument("--fit", type=int, default=6000, help="images that are fitted on")
    parser.add_argument("--size", type=int, default=1360, help="images of each set that are judged")
    asked = parser.parse_args()
    collect(asked.photographs, table())
    cfg = composed("evaluate", [f"policy.path={asked.policy}"])
    OmegaConf.resolve(cfg)
    policy: Policy = instantiate(cfg.policy)
    policy.model.eval()
    made = a_set("train", FolderPictures(folder=str(asked.photographs / "make"), varied=True), asked.fit, 7, True)
    others = FolderPictures(folder=str(asked.photographs / "judge"), varied=False)
    sets = {"test": ShippedPictures(split="test"), "elsewhere": others}
    shown = {name: a_set("test", pictures, asked.size, 0, False) for name, pictures in sets.items()}
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "features.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        parts = [f"{part}{end}" for part in ("all", "all over", "region") for end in ("", " low", " high")]
        writer.writerow(["features", "judge", "photographs", *parts])
        of_fitted = made, rows_of(policy, made)
        of_others = {name: (images, rows_of(policy, images)) for name, images in shown.items()}
        for row in judged(of_fitted, of_others):
            writer.writerow(row)
            file.flush()


if __name__ == "__main__":
    main()
