"""The parts of the demo page: each moment of a judgement, texts as text, and what is wrong in one line."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from PIL import Image

from support.demo_assessor import demo_assessor
from support.made_assessments import grey_image
from zoom_iqa.evaluation.assessment import Expected
from zoom_iqa.reports.demo.examples import EXAMPLES, PAIRS, written
from zoom_iqa.reports.demo.pieces import Panel, as_text, compared, told


def panels(image: Image.Image, folder: Path) -> list[Panel]:
    path = folder / "photo.png"
    image.save(path)
    return list(told(demo_assessor(), str(path)))


def words(part: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())


def test_turns_boxes_and_crops_come_one_after_the_other(tmp_path: Path) -> None:
    *before, last = panels(grey_image(200, width=400, height=300), tmp_path)
    first = [panel for panel in before if "Turn 1:" in panel.status]
    second = [panel for panel in before if "Turn 2:" in panel.status]
    assert [*first, *second] == before
    assert {panel.pictures.count("<img") for panel in first} == {1}
    assert {panel.pictures.count("<img") for panel in second} == {2}
    assert "crop 1, enlarged; x 10-70 %, y 20-80 %: looking closer" in words(second[0].pictures)
    lengths = [len(panel.turns) for panel in before]
    assert lengths[1] < lengths[len(first) - 1] < lengths[-1]
    assert before[-1].turns.count("caret") == 1
    assert "caret" not in last.turns
    assert words(last.status).startswith("2.75 fair on 1 (bad) to 5 (excellent)")
    assert "Expected rating 2.75 (fair), spread 0.10 :" in words(last.status)
    assert "3.50 before, 2.75 after: lowered by 0.75" in words(last.pictures)
    assert last.expected == Expected(mean=2.75, std=pytest.approx(0.1))
    assert "left:43.8%" in last.status  # (2.75 - 1) / 4


def test_an_answer_at_once_has_one_turn_and_no_crop(tmp_path: Path) -> None:
    last = panels(grey_image(128), tmp_path)[-1]
    assert (last.pictures.count("<img"), last.turns.count("<section")) == (1, 1)
    assert words(last.status).startswith("3.00 fair")


def test_texts_of_a_policy_are_text(tmp_path: Path) -> None:
    for panel in panels(grey_image(0), tmp_path):
        assert "<img" not in panel.turns
        assert not re.search(r"[${}`\x1b]", panel.turns)
    assert 'Quality <img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}} \\x1b[31m' in words(panel.turns)


def test_text_keeps_its_lines() -> None:
    assert as_text("a\n<b>") == "a\n&lt;b&gt;"


def test_what_is_wrong_names_the_file_and_not_its_folder(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no image")
    (panel,) = told(demo_assessor(), str(tmp_path / "x.jpg"))
    assert words(panel.status).startswith("x.jpg: not an image of a known format (JPEG, ")
    grey_image(9, width=500, height=2).save(tmp_path / "thin.png")
    (panel,) = told(demo_assessor(), str(tmp_path / "thin.png"))
    assert words(panel.status).startswith("thin.png: 500 x 2 pixels are too thin")
    assert panel.expected is None


def test_two_images_are_compared_by_what_is_expected_of_both() -> None:
    low, high = Expected(mean=2.0, std=0.3), Expected(mean=3.5, std=0.4)
    assert compared(low, None) == compared(None, high) == ""
    assert words(compared(low, high)) == (
        "The right one is judged better by 1.50: expected ratings 2.00 and 3.50, spread of the difference 0.50."
    )
    assert words(compared(high, low)).startswith("The left one is judged better by 1.50")
    near = Expected(mean=2.4, std=0.4)
    assert words(compared(low, near)).startswith("Too close to call: expected ratings 2.00 and 2.40 differ by 0.40")


def test_examples_are_pictures_with_names_of_their_own(tmp_path: Path) -> None:
    every = [*EXAMPLES, *(example for pair in PAIRS for example in pair)]
    paths = written(every, tmp_path)
    sizes = {Image.open(path).size for path in paths}
    assert sizes <= {(512, 384), (384, 512)}
    assert len(set(paths)) == len({example.caption for example in every})
    pristine, changed = (Image.open(path).tobytes() for path in written(PAIRS[0], tmp_path))
    assert pristine != changed
