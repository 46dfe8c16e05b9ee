"""Grey of more than 8 bits is shown from black to the white that the file says."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoom_iqa.base.errors import ImageError
from zoom_iqa.data.images import load_image, shown_image


def load(path: Path) -> np.ndarray:
    return np.asarray(load_image(path, max_pixels=None))


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert load(tmp_path / "a.png")[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]


def test_float_grey_is_scaled_from_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0.0, 0.2, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert load(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 51, 255]


@pytest.mark.parametrize("pixel", [np.nan, np.inf, -np.inf, -0.25])
def test_pixels_that_no_screen_could_show_are_refused(pixel: float, tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0.5, pixel]], np.float32))
    picture.save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: it has pixels that are NaN, infinite or below 0; replace them"):
        load(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"^it has pixels that are NaN"):
        shown_image(picture, max_pixels=None)


@pytest.mark.parametrize(
    ("values", "shown"),
    [([0, 100, 255], [0, 100, 255]), ([0, 257, 65535], [0, 1, 255]), ([0, 65535, 131070], [0, 128, 255])],
)
def test_integers_of_32_bits_have_the_white_of_8_of_16_or_their_own(
    values: list[int], shown: list[int], tmp_path: Path
) -> None:
    picture = Image.fromarray(np.array([values], np.int32))
    picture.save(tmp_path / "a.tif")
    assert picture.mode == "I"
    assert load(tmp_path / "a.tif")[0, :, 0].tolist() == shown
    assert np.asarray(shown_image(picture, max_pixels=None))[0, :, 0].tolist() == shown


def tiff(path: Path, pixels: bytes, *, width: int, bits: int, photometric: int, sample_format: int = 1) -> None:
    """A TIFF of one row of grey, written by hand: Pillow writes neither 12 bits nor a white of 0."""
    offset = 8 + 2 + 12 * 10 + 4
    values = {256: width, 257: 1, 258: bits, 259: 1, 262: photometric, 273: offset, 277: 1, 278: 1, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in (values | {339: sample_format}).items())
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 10) + entries + struct.pack("<I", 0) + pixels)


@pytest.mark.parametrize(
    ("pixels", "described", "shown"),
    [
        (struct.pack("<2H", 0, 65535), {"bits": 16, "photometric": 1}, [0, 255]),
        (struct.pack("<2H", 0, 65535), {"bits": 16, "photometric": 0}, [255, 0]),
        (bytes([0xFF, 0xF0, 0x00]), {"bits": 12, "photometric": 1}, [255, 0]),
        (struct.pack("<2f", 0.5, 1.0), {"bits": 32, "photometric": 1}, [128, 255]),
        (struct.pack("<2f", 0.25, 0.0), {"bits": 32, "photometric": 0}, [191, 255]),
        (struct.pack("<2f", 2.0, 4.0), {"bits": 32, "photometric": 1}, [128, 255]),
    ],
)
def test_the_white_of_deep_grey_is_what_the_file_says(
    pixels: bytes, described: dict[str, int], shown: list[int], tmp_path: Path
) -> None:
    form = {"sample_format": 3} if described["bits"] == 32 else {}
    tiff(tmp_path / "a.tif", pixels, width=len(shown), **described, **form)
    assert load(tmp_path / "a.tif")[0, :, 0].tolist() == shown
