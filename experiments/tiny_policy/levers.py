"""Each lever of the tower's making by itself, and every photograph held out once: short towers from one pool of views.

python experiments/tiny_policy/levers.py PHOTOGRAPHS --device cuda --workers 15 > levers.json

All towers have one shape and one number of steps, so they compare levers and are weaker than the shipped one.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate

from zoom_iqa.config.composition import composed
from zoom_iqa.config.tiny_policy_run import untrained
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import photographs
from zoom_iqa.data.embedded.pictures import FolderPictures, ShippedPictures
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.peers.ridge import fit_ridge
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tiny_policy.collection import collect, table
from zoom_iqa.tiny_policy.tower import TowerWarmup, view_tokens
from zoom_iqa.tiny_policy.views import ViewPool, Views

STRENGTHS = (1, 3, 10, 30, 100, 300, 1000, 3000)
FOLDS = 4


@torch.no_grad()
def features(policy: Policy, views: Views, rows: np.ndarray, device: str) -> np.ndarray:
    """Of whole views: mean and spread of their tokens."""
    policy.model.model.visual.to(device).eval()
    out = []
    for part in np.array_split(rows, max(1, len(rows) // 128)):
        tokens = view_tokens(policy, views.pixels_BHW3[torch.from_numpy(part).to(device)])
        out.append(torch.cat([tokens.mean(1), tokens.std(1, correction=0)], -1).double().cpu().numpy())
    policy.model.model.visual.cpu()
    return np.concatenate(out)


def level(scores: np.ndarray, views: Views, rows: np.ndarray) -> dict[str, float]:
    mos, local = views.mos_B.cpu().numpy()[rows], views.local_B.cpu().numpy()[rows]
    return {
        "all": srcc(scores, mos),
        "all over": srcc(scores[~local], mos[~local]),
        "region": srcc(scores[local], mos[local]),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--views", type=int, default=40_000)
    parser.add_argument("--judged", type=int, default=1360)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1e9, help="start no tower after this")
    parser.add_argument("--skip", type=int, default=0, help="towers that an earlier run has made")
    asked = parser.parse_args()
    begun = time.monotonic()
    torch.set_float32_matmul_precision("high")
    cfg = composed(
        "make_tiny_policy",
        [
            f"device={asked.device}", f"workers={asked.workers}", f"vision.steps={asked.steps}",
            f"vision.batch_size={asked.batch}", f"vision.part_batch_size={asked.batch}",
            f"vision.pool_views={asked.views}",
            f"paths.photographs={asked.photographs}", "images=${embedded}",
            f"embedded.size={asked.views // 2 + 64}", "embedded.procedural_fraction=0.1",
        ],
    )  # fmt: skip
    maker = instantiate(cfg.vision)
    warmup, bare = maker(), maker(teacher=None)
    collect(asked.photographs, table())
    start = untrained(cfg)
    pool: ViewPool = warmup.pool()
    print(f"pool after {time.monotonic() - begun:.0f} s", flush=True)
    judged = {
        "test photographs": judged_views(maker, ShippedPictures(split="test"), asked.judged),
        "other photographs": judged_views(
            maker, FolderPictures(folder=str(asked.photographs / "judge"), varied=False), asked.judged
        ),
    }
    print(f"judged views after {time.monotonic() - begun:.0f} s", flush=True)
    names = instantiate(cfg.pictures).names
    shipped = np.array([photographs().get(name) == "train" for name in names])
    picture = pool.kept.picture_B.cpu().numpy()
    rows = np.arange(len(picture))
    mos = pool.kept.mos_B.cpu().numpy()
    towers = [
        ("photographs as before, no teacher", bare, rows[shipped[picture]], None),
        ("all photographs, no teacher", bare, rows, None),
        ("photographs as before, teacher", warmup, rows[shipped[picture]], None),
        ("all photographs, teacher", warmup, rows, None),
        *((f"fold {k}", warmup, rows[picture % FOLDS != k], rows[picture % FOLDS == k]) for k in range(FOLDS)),
    ]
    held_out: list[tuple[np.ndarray, np.ndarray]] = []
    for name, learner, seen, left_out in towers[asked.skip :]:
        if time.monotonic() - begun > asked.seconds:
            print(f"stopped before: {name}", flush=True)
            break
        policy = copy.copy(start)
        policy.model = copy.deepcopy(start.model)
        pool.draw_among(seen)
        learner.learn(policy, pool, refresh=False)
        whole = seen[seen % 2 == 0][:3000]
        line = fit_ridge(features(policy, pool.kept, whole, asked.device), mos[whole], STRENGTHS)
        found = {}
        for of, views in judged.items():
            every = np.arange(0, len(views.mos_B), 2)
            found[of] = level(
                np.array([line(row) for row in features(policy, views, every, asked.device)]), views, every
            )
        if left_out is not None:
            even = left_out[left_out % 2 == 0][:1500]
            scores = np.array([line(row) for row in features(policy, pool.kept, even, asked.device)])
            found["held out"] = level(scores, pool.kept, even)
            held_out.append((scores, even))
        print(json.dumps({"tower": name, "seconds": round(time.monotonic() - begun), **found}), flush=True)
    if held_out:
        scores, even = (np.concatenate(parts) for parts in zip(*held_out, strict=True))
        by_photograph = {
            names[number]: {
                "n": int((picture[even] == number).sum()),
                "bias": float((scores - mos[even])[picture[even] == number].mean()),
            }
            for number in sorted(set(picture[even]))
        }
        print(json.dumps({"tower": "every photograph held out once", **level(scores, pool.kept, even)}), flush=True)
        print(json.dumps({"bias by photograph": by_photograph}), flush=True)


def judged_views(maker: Callable[..., TowerWarmup], pictures: FolderPictures | ShippedPictures, size: int) -> Views:
    images = EmbeddedSet(
        split="test", size=size, seed=0, local_fraction=0.25, pristine_fraction=0.03, procedural_fraction=0.0,
        continuous_levels=False, augmented=False, references=None, pictures=pictures,
    )  # fmt: skip
    kept: Views = maker(images=images, pool_views=2 * size).pool().kept
    return kept


if __name__ == "__main__":
    main()
