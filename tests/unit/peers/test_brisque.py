"""BRISQUE reads the package's parameters without its code, agrees with it, and trusts no pickle."""

from __future__ import annotations

import importlib.util
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from support.reference_photographs import BRISQUE_PACKAGE, NAMES, photograph
from zoom_iqa.base.errors import ConfigError, ImageError
from zoom_iqa.peers import parameter_files
from zoom_iqa.peers.brisque import BRISQUE, read_ranges, read_support_vectors, scene_features

needs_parameters = pytest.mark.skipif(
    importlib.util.find_spec("brisque") is None, reason="needs the package brisque (.[peers])"
)


@needs_parameters
@pytest.mark.parametrize("name", NAMES)
def test_near_the_scores_of_the_package(name: str) -> None:
    assert BRISQUE().score(photograph(name)) == pytest.approx(BRISQUE_PACKAGE[name], abs=3.0)


@needs_parameters
def test_blur_scores_higher() -> None:
    clean = photograph("tiger")
    score = BRISQUE().score
    assert score(clean.filter(ImageFilter.GaussianBlur(3))) > score(clean) + 20


@needs_parameters
@pytest.mark.parametrize(("size", "said"), [((15, 400), "15 x 400"), ((64, 64), "without texture")])
def test_nothing_to_measure_is_said(size: tuple[int, int], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        BRISQUE().score(Image.new("RGB", size, (90, 90, 90)))


def test_an_absent_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameter_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"brisque is not installed; pip install -c constraints.txt -e '\.\[peers\]'"):
        BRISQUE()


def test_features_are_of_structure_at_two_scales() -> None:
    texture = np.random.default_rng(0).normal(size=(256, 256))
    coarse = np.kron(texture[:128, :128], np.ones((2, 2)))
    fine, bright, doubled = (scene_features(128 + 30 * t) for t in (texture, texture + 2, coarse))
    assert fine.shape == (36,)
    assert bright == pytest.approx(fine, abs=1e-6)
    neighbours = [3, 7]  # mean products of horizontal and vertical neighbours
    assert (doubled[neighbours] > 0.05).all()  # equal pixels side by side
    assert (fine[neighbours] < 0).all()  # what is above its surroundings has lower neighbours
    assert doubled[[18 + index for index in neighbours]] == pytest.approx(fine[neighbours], abs=0.1)


def test_support_vectors_are_read_and_summed_as_written(tmp_path: Path) -> None:
    path = tmp_path / "svm.txt"
    path.write_text("svm_type epsilon_svr\nkernel_type rbf\ngamma 0.5\ntotal_sv 2\nrho -3\nSV\n2 1:1 36:2 \n-1 2:1 \n")
    model = read_support_vectors(path)
    at_zero = 2 * math.exp(-0.5 * 5) - math.exp(-0.5) + 3
    assert model.value(np.zeros(36)) == pytest.approx(at_zero)


def test_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "svm.txt"
    path.write_text("svm_type c_svc\nkernel_type rbf\nSV\n1 1:1\n")
    with pytest.raises(ConfigError, match="no radial epsilon-SVR"):
        read_support_vectors(path)


def test_ranges_come_from_plain_numbers_alone(tmp_path: Path) -> None:
    path = tmp_path / "ranges.pickle"
    path.write_bytes(pickle.dumps({"min_": [0.0] * 36, "max_": [1.0] * 36}))
    assert read_ranges(path)[1].sum() == 36
    path.write_bytes(pickle.dumps({"min_": Path("."), "max_": [1.0] * 36}))
    with pytest.raises(ConfigError, match="no plain value"):
        read_ranges(path)
    path.write_bytes(pickle.dumps({"min_": [0.0] * 5, "max_": [1.0] * 5}))
    with pytest.raises(ConfigError, match="5 features"):
        read_ranges(path)
