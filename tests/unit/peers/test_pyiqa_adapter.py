"""Our side of pyiqa, against a stand-in with its documented face: it needs torchvision and weights to run itself."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from PIL import Image

from zoom_iqa.base.errors import ConfigError, ImageError
from zoom_iqa.peers.pyiqa_adapter import PyIQAMetric


class StandIn:
    """``InferenceModel``: declares its direction, takes (1, 3, H, W) on 0-1 as pyiqa checks, gives a tensor."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.lower_better = name == "niqe"
        self.name, self.device = name, device

    def __call__(self, target: torch.Tensor) -> torch.Tensor:
        assert target.ndim == 4
        assert target.shape[1] == 3
        assert 0 <= target.min() <= target.max() <= 1
        if self.name == "full":
            raise torch.OutOfMemoryError("CUDA out of memory")
        if min(target.shape[2:]) < 2:
            raise RuntimeError("Kernel size can't be greater than actual input size")
        red = target[0, 0].mean()
        return red.reshape(1, 1) * (torch.nan if self.name == "broken" else 10)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pyiqa")
    module.list_models = lambda mode: {"NR": ["broken", "full", "musiq", "niqe"]}[mode]  # type: ignore[attr-defined]
    module.create_metric = lambda name, device: StandIn(name, device)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyiqa", module)


@pytest.mark.usefixtures("stand_in")
def test_scores_are_the_metrics_own() -> None:
    image = Image.new("RGB", (5, 3), (51, 0, 255))
    assert PyIQAMetric(metric="musiq", device="cpu").score(image) == pytest.approx(2.0)


@pytest.mark.usefixtures("stand_in")
def test_the_direction_is_what_the_package_declares() -> None:
    assert PyIQAMetric(metric="niqe", device="cpu").lower_is_better
    assert not PyIQAMetric(metric="musiq", device="cpu").lower_is_better


@pytest.mark.usefixtures("stand_in")
def test_an_unknown_metric_is_answered_with_the_known() -> None:
    with pytest.raises(
        ConfigError, match=r"peer.metric=lpips.*no such no-reference metric; it has broken, full, musiq, niqe"
    ):
        PyIQAMetric(metric="lpips", device="cpu")


@pytest.mark.usefixtures("stand_in")
def test_a_value_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ImageError, match="broken gives"):
        PyIQAMetric(metric="broken", device="cpu").score(Image.new("RGB", (2, 2)))


@pytest.mark.usefixtures("stand_in")
def test_an_image_that_the_metric_refuses_is_an_error_of_the_image_and_a_full_device_is_none() -> None:
    with pytest.raises(ImageError, match=r"musiq has no score for 5 x 1 pixels \(Kernel size"):
        PyIQAMetric(metric="musiq", device="cpu").score(Image.new("RGB", (5, 1)))
    with pytest.raises(torch.OutOfMemoryError):
        PyIQAMetric(metric="full", device="cpu").score(Image.new("RGB", (5, 5)))


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(ConfigError, match=r"pip install -c constraints.txt -e '\.\[pyiqa\]'"):
        PyIQAMetric(metric="musiq", device="cpu")
