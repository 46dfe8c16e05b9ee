"""Pictures of assessments: boxes where crops were cut, the crops beside them, a file an image."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from support.made_assessments import answer, assessment, chain_answer, grey_image
from zoom_iqa.base.errors import OutputError
from zoom_iqa.reports.overlays import COLOURS, EVIDENCE_COLOUR, MARGIN, OverlayFolder, overlay, titled

RED = ImageColor.getrgb(COLOURS[0])
BLUE = ImageColor.getrgb(COLOURS[1])


def places(picture: Image.Image, colour: tuple[int, ...]) -> np.ndarray:
    """Rows (y, x) of the pixels of a colour."""
    return np.argwhere((np.asarray(picture) == colour).all(axis=-1))


def test_boxes_lie_where_the_crops_were_cut_and_crops_beside_the_image() -> None:
    image = Image.new("RGB", (400, 300), (0, 0, 200))
    image.paste((0, 160, 0), (100, 50, 300, 250))
    found = assessment(answer(3.0, 2.0, boxes=((100, 50, 300, 250),)), size=(400, 300))
    picture = overlay(image, found)
    red = places(picture, RED)
    on_image = red[red[:, 1] < MARGIN + 400]
    assert on_image.min(axis=0).tolist() == [MARGIN + 50, MARGIN + 100]
    assert on_image.max(axis=0).tolist() == [MARGIN + 249, MARGIN + 299]
    assert not len(places(picture, BLUE))
    beside = np.asarray(picture)[:, MARGIN + 400 :]
    green = (beside == (0, 160, 0)).all(axis=-1).sum()
    assert green > 0.9 * 300 * 300  # 200 x 200 within 400 x 300 is enlarged to 300 x 300
    assert not (beside == (0, 0, 200)).all(axis=-1).any()


def test_of_several_answers_the_title_says_that_it_is_their_mean() -> None:
    one, several = assessment(answer(3.0)), assessment(answer(3.0), answer(2.0))
    assert titled(one) == "3.00 fair"
    assert titled(several) == "2.50 fair (mean of 2 answers, one of which is drawn)"


def test_two_crops_share_the_column() -> None:
    found = assessment(answer(3.0, 2.5, 2.0, boxes=((0, 0, 200, 150), (200, 150, 400, 300))), size=(400, 300))
    picture = overlay(grey_image(128, 400, 300), found)
    assert picture.height < 300 + 100
    assert len(places(picture, RED))
    assert len(places(picture, BLUE))


def test_evidence_is_dashed_at_its_place() -> None:
    image = Image.new("RGB", (400, 300), (0, 0, 200))
    picture = overlay(image, assessment(chain_answer(), size=(400, 300)))
    found = places(picture, ImageColor.getrgb(EVIDENCE_COLOUR))
    assert np.abs(found.min(axis=0) - (MARGIN + 60, MARGIN + 40)).max() <= 1  # a line is two pixels wide
    assert np.abs(found.max(axis=0) - (MARGIN + 210, MARGIN + 240)).max() <= 1
    assert 0.3 < len(found) / (2 * 2 * (200 + 150)) < 0.7  # gaps are as long as lines


def test_evidence_outside_the_image_has_no_place() -> None:
    picture = overlay(grey_image(128, 400, 300), assessment(chain_answer(bbox=(900, 10, 950, 40)), size=(400, 300)))
    assert not len(places(picture, ImageColor.getrgb(EVIDENCE_COLOUR)))


@pytest.mark.parametrize("size", [(30, 20), (1, 1), (2000, 15), (15, 2000)])
def test_odd_sizes_have_a_picture_too(size: tuple[int, int]) -> None:
    width, height = size
    found = assessment(answer(None, boxes=((0, 0, width, height),)), size=size)
    picture = overlay(grey_image(128, *size), found)
    assert picture.width >= width
    assert picture.height >= height


def test_a_file_an_image_and_equal_names_are_numbered(tmp_path: Path) -> None:
    folder = OverlayFolder(tmp_path / "new" / "folder", view=lambda source: grey_image(len(source)))
    for source in ("a/x.jpg", "b/x.png", "y.jpg", "x-2.jpg", "c/x.jpg"):
        folder.write(assessment(answer(3.0), source=source, size=(48, 32)))
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == ["x-2-2.png", "x-2.png", "x-3.png", "x.png", "y.png"]
    for name in names:
        Image.open(tmp_path / "new" / "folder" / name).verify()


def test_pictures_that_are_there_stay_and_earlier_overlays_are_made_again(tmp_path: Path) -> None:
    grey_image(7, 48, 32).save(tmp_path / "photo.png")
    (tmp_path / "notes.png").write_text("no picture")
    header = struct.pack(">2I5B", 20_000, 20_000, 8, 0, 0, 0, 0)  # more pixels than Pillow opens by itself
    chunk = b"IHDR" + header
    huge = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "huge.png").write_bytes(huge)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for _ in range(2):
        folder = OverlayFolder(tmp_path, view=lambda source: grey_image(9, 48, 32))
        for source in ("photo.png", "notes.jpg", "huge.jpg", "other.jpg"):
            folder.write(assessment(answer(3.0), source=source, size=(48, 32)))
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    made = sorted({path.name for path in tmp_path.iterdir()} - set(before))
    assert made == ["huge-2.png", "notes-2.png", "other.png", "photo-2.png"]


def test_a_place_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file cannot be written: File exists; name another place$"):
        OverlayFolder(tmp_path / "file", view=lambda source: grey_image(1))
    folder = OverlayFolder(tmp_path / "gone", view=lambda source: grey_image(1))
    (tmp_path / "gone").rmdir()
    with pytest.raises(OutputError, match=r"photo\.png cannot be written: No such file or directory"):
        folder.write(assessment(answer(3.0)))
