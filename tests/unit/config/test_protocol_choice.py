"""``protocol=released`` is one choice that brings all of it, and no default of ours enlarges an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from zoom_iqa.config.evaluated_images import evaluated_images
from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.training_run import check

CELL = 28  # pixels of a side of an image token
RELEASED_BOUNDS = (3136, 12_845_056)  # of the checkpoint's own preprocessor_config.json
SMALL = ["policy=tiny", "data=koniq10k", "size=tiny"]


def composed(root: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(root, overrides=list(overrides))


@pytest.mark.parametrize(
    ("root", "overrides"),
    [
        ("evaluate", ["policy=qwen2_5_vl_7b"]),
        ("evaluate", ["policy=tiny"]),
        ("train", ["+experiment=grpo_full"]),
        ("train", ["+experiment=sft_full"]),
    ],
)
def test_one_choice_brings_the_release(root: str, overrides: list[str]) -> None:
    cfg = composed(root, *overrides, "protocol=released")
    if root == "train":
        check(cfg)
    OmegaConf.resolve(cfg)
    assert cfg.prompts._target_ == "zoom_iqa.tasks.prompts.official_prompts"
    assert cfg.task._target_ == "zoom_iqa.tasks.released.ReleasedZoomTask"
    assert (cfg.policy.min_pixels, cfg.policy.max_pixels) == (None, None)
    assert cfg.evaluator.sampling.stop_strings == []
    sets = [cfg.data.train, cfg.data.val, cfg.data.test, cfg.data.trajectories] if root == "train" else [cfg]
    assert {(images.max_pixels, images.upright) for images in sets} == {(None, False)}


def test_what_is_given_beside_it_counts() -> None:
    cfg = composed("evaluate", "policy=qwen2_5_vl_7b", "protocol=released", "prompts=full", "max_pixels=1000")
    assert cfg.prompts._target_ == "zoom_iqa.tasks.prompts.PromptSet"
    assert (cfg.max_pixels, cfg.policy.max_pixels) == (1000, None)


def tokens(width: int, height: int, bounds: tuple[int, int]) -> int:
    rows, columns = smart_resize(height, width, factor=CELL, min_pixels=bounds[0], max_pixels=bounds[1])
    return rows * columns // CELL**2


def bounds_of(policy: str) -> tuple[int, int]:
    cfg = composed("evaluate", f"policy={policy}")
    return cfg.policy.min_pixels, cfg.policy.max_pixels


@pytest.mark.parametrize("policy", ["qwen2_5_vl_7b", "qwen2_5_vl_3b"])
@pytest.mark.parametrize(
    ("size", "ours", "released"),
    [
        ((288, 288), 100, 100),  # PIPAL: 10 x 10 tokens, not 448 x 448 pixels
        ((512, 384), 252, 252),  # KADID-10k: 18 x 14
        ((1024, 768), 999, 999),  # KonIQ-10k: 37 x 27
        ((4032, 3024), 1230, 15_552),  # SPAQ of 12 megapixels: 41 x 30, and 144 x 108
    ],
)
def test_image_tokens_of_the_benchmarks(policy: str, size: tuple[int, int], ours: int, released: int) -> None:
    assert tokens(*size, bounds_of(policy)) == ours
    assert tokens(*size, RELEASED_BOUNDS) == released


@pytest.mark.parametrize("side", range(56, 500, 9))
def test_no_image_is_enlarged_by_more_than_rounding(side: int) -> None:
    height, width = smart_resize(side, 2 * side, factor=CELL, min_pixels=3136, max_pixels=bounds_of("qwen2_5_vl_7b")[1])
    assert bounds_of("qwen2_5_vl_7b")[0] == 3136
    assert abs(height - side) <= CELL / 2
    assert abs(width - 2 * side) <= CELL / 2


def test_the_bounds_of_the_release_are_those_of_its_processor(shared_dir: Path) -> None:
    values = json.loads((shared_dir / "tokenizer" / "qwen2.5-vl" / "preprocessor_config.json").read_text())
    assert (values["min_pixels"], values["max_pixels"]) == RELEASED_BOUNDS


@pytest.mark.parametrize(("protocol", "size"), [("strict", (40, 30)), ("released", (30, 40))])
def test_files_are_taken_upright_or_as_stored(protocol: str, size: tuple[int, int], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by a quarter
    Image.new("RGB", (30, 40)).save(tmp_path / "a.png", exif=exif)
    (tmp_path / "labels.csv").write_text("image,mos\na.png,50\n")
    given = [
        "benchmark=manifest",
        "benchmarks.manifest.name=mine",
        f"benchmarks.manifest.root={tmp_path}",
        "benchmarks.manifest.reader.labels=labels.csv",
        "benchmarks.manifest.scale={direction: higher_is_better, native_range: [0, 100], one: 0, five: 100}",
        "policy.path=p",
        f"protocol={protocol}",
    ]
    cfg = compose_config(given)
    OmegaConf.resolve(cfg)
    (node,) = cfg.benchmarks.values()
    images: Any = evaluated_images(instantiate(node), cfg)
    assert images[0].image.size == size
