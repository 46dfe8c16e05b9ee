"""A pipeline of diffusers, here a stand-in, as an editor: what it is called with, and mistakes in one line."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from support.made_assessments import answer, assessment, grey_image
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.evaluation.diffusers_editor import DiffusersEditor
from zoom_iqa.tasks.guidance import TARGETS

TEXT = "<think>Quality: soft\nImprove: crisp edges\nAvoid: blur\nDecision: final</think>"


class StandIn:
    """Answers with an image of twice the size."""

    calls: list[dict[str, Any]]

    def __init__(self) -> None:
        self.calls = []

    def set_progress_bar_config(self, *, disable: bool | None) -> None:
        assert disable is None

    def to(self, device: torch.device) -> StandIn:
        return self

    def __call__(self, *, image: Image.Image, **given: Any) -> SimpleNamespace:
        self.calls.append({**given, "noise": torch.rand(1, generator=given["generator"]).item()})
        return SimpleNamespace(images=[grey_image(200, image.width * 2, image.height * 2)])


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    module = ModuleType("diffusers")

    class Found:
        @staticmethod
        def from_pretrained(folder: str, *, local_files_only: bool) -> StandIn:
            assert local_files_only
            if folder == "nowhere":
                raise OSError("no file named\nmodel_index.json")
            return made

    module.FluxKontextPipeline = module.StableDiffusionUpscalePipeline = Found  # type: ignore[attr-defined]
    module.utils = SimpleNamespace(logging=SimpleNamespace(disable_progress_bar=lambda: None))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "diffusers", module)
    return made


def editor(target: str, folder: str = "folder") -> DiffusersEditor:
    return DiffusersEditor(target=TARGETS[target], folder=folder, device=torch.device("cpu"), seed=3, count=None)


def test_prompts_go_in_and_an_image_of_the_same_size_comes_out(pipeline: StandIn) -> None:
    found = assessment(answer(2.0, text=TEXT))
    made = editor("flux-kontext")
    (first,), (second,) = made.edits(grey_image(10), found), made.edits(grey_image(10), found)
    assert first.image.size == grey_image(10).size
    assert first.image.getpixel((5, 5)) == (200, 200, 200)
    call, again = pipeline.calls
    assert call["prompt"].endswith(": crisp edges")
    assert (call["negative_prompt"], call["true_cfg_scale"]) == ("blur", 2.0)
    assert call["noise"] == again["noise"]  # one seed
    assert second.name == "FluxKontextPipeline"


def test_without_a_direction_nothing_is_tried(pipeline: StandIn) -> None:
    assert editor("sd-upscale").edits(grey_image(10), assessment(answer(2.0, text="no thought"))) == []
    assert pipeline.calls == []


def test_mistakes_are_one_line(pipeline: StandIn) -> None:
    with pytest.raises(ConfigError, match=r"--apply nowhere: no FluxKontextPipeline could be loaded from it \(no file"):
        editor("flux-kontext", "nowhere")
    with pytest.raises(ConfigError, match="this target has no pipeline of diffusers; use --apply embedded"):
        editor("supir")


def test_diffusers_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ConfigError, match=r"--apply folder needs diffusers: pip install .*\[restore\]"):
        editor("sd-upscale")
