"""What a file says beside its pixels, kept for the files that are made of it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from zoom_iqa.data.metadata import bits_a_channel, colour_profile, exif_of, made_by, photograph_exif

CAMERA, PLACE = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo


def exif_of_a_photograph() -> bytes:
    exif = Image.Exif()
    exif[271], exif[274], exif[306] = "A maker", 6, "2020:01:01 12:00:00"  # the second turns the picture
    camera = {0x829A: 1 / 60, 0x9003: "2020:01:01 12:00:00", 0x927C: b"note", 0xA002: 30, 0xA003: 40}
    exif[CAMERA], exif[PLACE] = camera, {1: "N", 2: (48.0, 51.0, 24.5)}
    return exif.tobytes()


@pytest.mark.parametrize("written", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("read", ["jpg", "png", "webp", "tif"])
def test_when_where_and_with_which_camera_are_kept_and_what_holds_of_the_old_file_is_not(
    tmp_path: Path, read: str, written: str
) -> None:
    old, new = tmp_path / f"old.{read}", tmp_path / f"new.{written}"
    Image.new("RGB", (30, 40), "red").save(old, exif=exif_of_a_photograph())
    Image.new("RGB", (40, 30), "red").save(new, exif=photograph_exif(old))
    with Image.open(new) as opened:
        exif = opened.getexif()
        assert (exif[271], exif[306], exif.get(274)) == ("A maker", "2020:01:01 12:00:00", None)
        assert exif.get_ifd(CAMERA) == {0x829A: pytest.approx(1 / 60), 0x9003: "2020:01:01 12:00:00"}
        assert exif.get_ifd(PLACE) == {1: "N", 2: (48.0, 51.0, 24.5)}
        assert opened.size == (40, 30)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_picture_without_exif_or_with_damaged_or_too_much_has_none(tmp_path: Path) -> None:
    much = Image.Exif()
    much[0x010E] = "x" * 70_000
    for name, exif in {"none": b"", "damaged": b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12", "much": much}.items():
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png", exif=exif)
        assert photograph_exif(tmp_path / f"{name}.png") is None
    assert photograph_exif(tmp_path / "missing.png") is None


def test_a_profile_is_given_where_there_is_one_and_damage_gives_none(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", icc_profile=profile)
    Image.new("CMYK", (4, 4)).save(tmp_path / "b.tif", icc_profile=profile)
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    assert colour_profile(tmp_path / "a.png") == profile
    assert colour_profile(tmp_path / "b.tif") is None
    assert colour_profile(tmp_path / "c.png") is None


def test_a_picture_names_its_maker(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", exif=exif_of(software="a program"))
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    assert (made_by(tmp_path / "a.png"), made_by(tmp_path / "b.png")) == ("a program", None)


def test_bits_of_a_channel_are_those_of_the_file(tmp_path: Path) -> None:
    """Pillow writes no colours of 16 bits, so that PNG is made by hand, of one pixel."""
    chunks = ((b"IHDR", struct.pack(">2I5B", 1, 1, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(7))), (b"IEND", b""))
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    (tmp_path / "colour.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(made))
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "grey.png")
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "grey.tif")
    Image.new("RGB", (2, 2)).save(tmp_path / "plain.tif")
    Image.new("1", (2, 2)).save(tmp_path / "lines.png")
    found = {path.name: bits_a_channel(path) for path in tmp_path.iterdir()}
    assert found == {"colour.png": 16, "grey.png": 16, "grey.tif": 16, "plain.tif": 8, "lines.png": 1}
    assert bits_a_channel(tmp_path / "gone.png") == 8
