"""Supervised turns name an image of a file where it lies, also from a folder that a link leads to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from support.made_rollouts import rollout, step
from support.toy_prompts import THREE_WORDINGS
from zoom_iqa.base.records import record_of
from zoom_iqa.base.types import Example, Sample, rated_example
from zoom_iqa.curation.export import export
from zoom_iqa.tasks.zoom import ZoomTask

FINAL = '<answer>{"bbox_2d": [0, 0, 0, 0], "rating": 4.10, "tool": "final"}</answer>'


class OneImage:
    def __init__(self, path: Path) -> None:
        self.sample = Sample.of(rated_example(id="a", dataset="d", mos=3.0, path=str(path)), Image.open(path))

    def items(self) -> Sequence[Example]:
        return [self.sample.example]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self.sample


def test_paths_hold_where_the_folder_lies_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "scratch" / "deep" / "runs").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "scratch" / "deep" / "runs")
    picture = tmp_path / "data" / "a.png"
    Image.new("RGB", (40, 40), "red").save(picture)
    images = OneImage(picture)
    record = record_of(rollout(images.sample.example, step(4.1, text=FINAL)))
    folder = tmp_path / "runs" / "curated"
    folder.mkdir()
    file = export(folder, [record], dataset=images, task=ZoomTask(prompts=THREE_WORDINGS), seed=0, split="train")
    (line,) = map(json.loads, file.read_text().splitlines())
    (named,) = line["images"]
    assert (folder / named).samefile(picture)
    assert list(folder.iterdir()) == [file]
