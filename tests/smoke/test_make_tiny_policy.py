"""The making from random weights to a policy folder, on three pictures and a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.plain_policy import plain_policy
from zoom_iqa.config.composition import composed
from zoom_iqa.config.tiny_policy_run import make

SMALL = (
    "paths.photographs=null", "workers=0", "texts.rationales=60", "vocab_size=512", "vision_shape.width=32",
    "vision_shape.depth=1", "vision_shape.heads=2", "vision_shape.mlp_width=32", "vision_shape.full_attention=[0]",
    "text_shape.width=32", "text_shape.depth=1", "text_shape.heads=2", "text_shape.key_value_heads=1",
    "text_shape.mlp_width=32", "embedded.size=30", "captured.size=10", "vision.teacher=null", "vision.steps=2",
    "vision.batch_size=2", "vision.part_batch_size=2", "vision.pool_views=32", "vision.fresh_images=4",
    "language.examples=4", "written_about.embedded.size=3", "written_about.captured.size=1",
    "language.reading.steps=1", "language.reading.batch_size=2", "language.writing.steps=1",
    "language.writing.batch_size=2",
)  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{name}.jpg")
    return folder


def test_a_policy_is_made_and_the_warmed_tower_is_not_made_twice(pictures: Path, tmp_path: Path):
    run = tmp_path / "run"
    cfg = composed("make_tiny_policy", [*SMALL, f"pictures.folder={pictures}", f"paths.run_dir={run}"])
    make(cfg.copy(), run)
    made = _tower(run / "policy")
    assert set(made) == set(_tower(run / "warmed"))
    stamp = (run / "warmed" / "model.safetensors").stat().st_mtime_ns
    make(composed("make_tiny_policy", [*SMALL, f"pictures.folder={pictures}", f"paths.run_dir={run}"]), run)
    assert (run / "warmed" / "model.safetensors").stat().st_mtime_ns == stamp
    assert all((value == made[name]).all() for name, value in _tower(run / "policy").items())


def test_a_making_that_goes_on_begins_with_the_weights_of_its_start(pictures: Path, tmp_path: Path):
    folder = f"pictures.folder={pictures}"
    make(composed("make_tiny_policy", [*SMALL, folder]), tmp_path / "first")
    still = [f"{part}.optimizer.lr=0" for part in ("vision", "language.reading", "language.writing")]
    more = [f"start={tmp_path / 'first' / 'policy'}", "vision_shape.max_pixels=49152"]
    make(composed("make_tiny_policy", [*SMALL, folder, *still, *more]), tmp_path / "second")
    first, second = (_weights(tmp_path / run / "policy") for run in ("first", "second"))
    assert all((value == second[name]).all() for name, value in first.items())
    sees = json.loads((tmp_path / "second" / "policy" / "preprocessor_config.json").read_text())["size"]
    assert sees == {"longest_edge": 49152, "shortest_edge": 4096}


def _tower(folder: Path) -> dict[str, np.ndarray]:
    return {name: value for name, value in _weights(folder).items() if name.startswith("model.visual.")}


def _weights(folder: Path) -> dict[str, np.ndarray]:
    policy = plain_policy(folder)
    return {name: value.numpy() for name, value in policy.model.state_dict().items()}
