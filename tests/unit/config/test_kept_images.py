"""The images of a finished run are those of the folder in which it was started, wherever a page of it is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from PIL import Image

from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.config.kept_images import judged_images

COLOURS = {"here": (200, 0, 0), "elsewhere": (0, 0, 200)}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on ``mine.csv`` of one folder; another one has a file and a picture of the same names."""
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        Image.new("RGB", (40, 30), colour).save(tmp_path / name / "p.png")
        (tmp_path / name / "mine.csv").write_text("image,score\np.png,3.0\n")
    monkeypatch.chdir(tmp_path / "here")
    config = compose_config(["manifest=mine.csv"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(OmegaConf.to_yaml(config))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "run"


@pytest.mark.parametrize(("kept", "seen"), [("here", "here"), ("gone", "elsewhere"), (None, "elsewhere")])
def test_relative_paths_are_those_of_the_run(kept: str | None, seen: str, run: Path) -> None:
    """Where that folder is not kept, or not there, they are looked for in the working folder."""
    if kept is not None:
        (run / "origin.json").write_text(json.dumps({"working_directory": str(run.parent / kept)}))
    (load,) = judged_images(Path("..") / run.name / "config.yaml").values()
    image = load()
    assert image is not None
    assert image.getpixel((5, 5)) == COLOURS[seen]
    assert Path.cwd().name == "elsewhere"
