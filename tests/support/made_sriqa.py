"""A folder in SRIQA-Bench's layout: one-coloured pictures, scores and labels written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

SCORES: Mapping[str, Mapping[str, float]] = {
    "x1": {"Original": 80.0, "SwinIR": 20.0, "RealESRNet": 10.0, "SUPIR": 90.0, "HGGT": 70.0},
    "x2": {"Original": 100.0, "SwinIR": 0.0, "RealESRNet": 50.0, "SUPIR": 50.0, "HGGT": 30.0},
}
"""Of 10 pairs each: 3 of regression-based methods and the original, 3 of generation-based ones and it, 4 across."""


def name_of(photograph: str, method: str) -> str:
    return f"{photograph}_{method}" if method == "Original" else f"{photograph}_{method}x4"


def make_sriqa(root: Path, scores: Mapping[str, Mapping[str, float]] = SCORES) -> Path:
    for photograph, of_methods in scores.items():
        for number, method in enumerate(of_methods):
            folder = root / "images" / method
            folder.mkdir(parents=True, exist_ok=True)
            shade = (40 * number, 10 * len(photograph), int(photograph[1:]) * 60)
            Image.new("RGB", (64, 56), shade).save(folder / f"{name_of(photograph, method)}.png")
        (root / "LRImages").mkdir(exist_ok=True)
        Image.new("RGB", (32, 28)).save(root / "LRImages" / f"{photograph}_Original.png")
        write_scores(root, "MOS", photograph, of_methods)
    return root


def write_scores(root: Path, folder: str, photograph: str, scores: Mapping[str, float]) -> None:
    """Best first, as the publisher writes them."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    (root / folder).mkdir(exist_ok=True)
    lines = [f"{name_of(photograph, method)}.png,{score}\n" for method, score in ranked]
    (root / folder / f"{photograph}.txt").write_text("".join(lines))


def write_label(root: Path, person: str, first: tuple[str, str], second: tuple[str, str], *, photograph: str) -> None:
    """What a person said of two pictures, (name, label) each."""
    folder = root / "labels" / person / photograph
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        f"Picture_0{number}": {"Name": f"{name}.png", "Label": label}
        for number, (name, label) in ((1, first), (2, second))
    }
    (folder / f"{first[0]}_{second[0]}.json").write_text(json.dumps(pictures))
