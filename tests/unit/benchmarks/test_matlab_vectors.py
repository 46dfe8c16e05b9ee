"""MATLAB files against SciPy's writer and reader, and damaged ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.matlab import read_vectors


def cells(*values: Any) -> np.ndarray:
    array = np.empty((len(values), 1), dtype=object)
    for place, value in enumerate(values):
        array[place, 0] = value
    return array


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([[1.5, -2.25, 1e300]]), [1.5, -2.25, 1e300]),
        (np.arange(9.0), list(range(9))),
        (np.array([[3.42]], dtype=np.float32), [np.float32(3.42)]),
        (np.array([1, 2, 250], dtype=np.uint8), [1, 2, 250]),
        (np.array([-7, 2], dtype=np.int32), [-7, 2]),
        (np.zeros((0, 0)), []),
        (cells("a.bmp", "img_0001.JPG", "ü.bmp", ""), ["a.bmp", "img_0001.JPG", "ü.bmp", ""]),
        ("a text", ["a text"]),
    ],
)
def test_vectors_are_read_as_scipy_wrote_them(
    tmp_path: Path, value: Any, expected: list[Any], compressed: bool
) -> None:
    savemat(tmp_path / "a.mat", {"first": value, "second": np.array([4.0])}, do_compression=compressed)
    assert read_vectors(tmp_path / "a.mat") == {"first": expected, "second": [4.0]}


def test_the_published_files_as_scipy_reads_them(shared_dir: Path) -> None:
    for name in ("AllImages_release", "AllMOS_release", "AllStdDev_release"):
        path = shared_dir / "livec" / "Data" / f"{name}.mat"
        assert read_vectors(path) == {name: [value.item() for value in loadmat(path)[name].ravel()]}


@pytest.mark.parametrize("value", [np.arange(9.0), cells(*(f"image{n}.bmp" for n in range(9)))])
@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_files_are_named(tmp_path: Path, value: np.ndarray, compressed: bool) -> None:
    """Flipped bytes end SciPy's reader with a segmentation fault now and then."""
    path, draw, said = tmp_path / "a.mat", random.Random(0), []
    savemat(path, {"v": value}, do_compression=compressed)
    good = path.read_bytes()
    for trial in range(400):
        data = bytearray(good)
        for _ in range(4):
            data[draw.randrange(116, len(data))] = draw.randrange(256)  # before it is a comment
        path.write_bytes(data[: draw.randrange(len(data))] if trial % 2 else data)
        try:
            read_vectors(path)
        except DataError as error:
            said.append(str(error))
    assert len(said) > 250
    assert all("a.mat is not a readable MATLAB file" in message for message in said)


@pytest.mark.parametrize("value", [{"field": 1.0}, np.array([1j]), cells(cells("a"))])
def test_other_kinds_of_variables_are_refused(tmp_path: Path, value: Any) -> None:
    savemat(tmp_path / "a.mat", {"v": value})
    with pytest.raises(DataError, match=r"a variable of class \d+"):
        read_vectors(tmp_path / "a.mat")
