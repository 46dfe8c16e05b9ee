"""The page of a refinement: one file without anything to fetch, and no text of a model does anything in it."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from support.browser import opened
from support.made_assessments import answer, assessment, grey_image
from zoom_iqa.evaluation.guiding import guidance_of
from zoom_iqa.evaluation.refinement import Refinement, Round
from zoom_iqa.reports.before_after import before_after_page
from zoom_iqa.tasks.guidance import TARGETS

HOSTILE = '<think>Quality: <script>alert(1)</script>\nImprove: crisp "edges"\nAvoid: blur & <b>noise</b></think>'


def page(after: float, *rounds: Round) -> str:
    start = assessment(answer(2.0, text=HOSTILE), source="<img src=x>.jpg")
    best = assessment(answer(after, text=HOSTILE), source="<img src=x>.jpg")
    assert start.expected is not None
    assert best.expected is not None
    found = Refinement(
        start=start,
        best=best,
        start_read=start.expected,
        best_read=best.expected,
        image=grey_image(200, 3000, 2000),
        rounds=rounds,
    )
    return before_after_page(grey_image(10, 3000, 2000), found, guidance_of(start, target=TARGETS["plain"]))


@pytest.fixture
def better() -> str:
    return page(2.5, Round(tried=(("denoise", 2.5), ("<i>sharpen</i>", None)), kept="denoise", read=2.5))


def test_both_images_are_in_it_and_reduced(better: str) -> None:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', better)
    images = [Image.open(io.BytesIO(base64.b64decode(content))) for content in found]
    assert [image.size for image in images] == [(1400, 933)] * 2
    assert [image.getpixel((5, 5))[0] for image in images] == pytest.approx([10, 200], abs=2)  # type: ignore[index]


def test_nothing_is_fetched_and_texts_are_text(better: str) -> None:
    assert "http" not in better
    for written in ("<script>alert", "<b>noise", "<i>sharpen", "<img src=x>"):
        assert written not in better
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in better
    assert "blur &amp; &lt;b&gt;noise&lt;/b&gt;" in better


def test_ratings_edits_and_prompts_are_said(better: str) -> None:
    assert "Judged 0.50 better." in better
    assert "expected rating 2.00 (poor, spread 0.10)" in better
    assert re.search(
        r'<tr class="kept"><td>1</td><td>denoise</td><td class="n">2.50</td><td class="n">2.50</td><td>kept</td>',
        better,
    )
    assert "unreadable" in better
    assert "<pre>crisp &quot;edges&quot;</pre>" in better


def test_the_second_reading_stands_beside_the_best_of_its_turn() -> None:
    shown = page(2.0, Round(tried=(("soften", 1.5), ("denoise", 2.25)), kept=None, read=1.75))
    assert '<td>soften</td><td class="n">1.50</td><td class="n"></td>' in shown
    assert '<td>denoise</td><td class="n">2.25</td><td class="n">1.75</td>' in shown


def test_the_border_between_before_and_after_moves(better: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(better, encoding="utf-8")
    with opened(file) as shown:
        widths = shown.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert widths == [1400, 1400]
        cut = "getComputedStyle(document.images[1]).clipPath"
        assert shown.evaluate(cut) == "inset(0px 0px 0px 50%)"
        shown.locator("input[type=range]").fill("20")
        assert shown.evaluate(cut) == "inset(0px 0px 0px 20%)"


def test_no_gain_and_a_loss_are_said_plainly() -> None:
    assert "this is the input" in page(2.0, Round(tried=(("denoise", 1.5),), kept=None, read=None))
    assert "no issue was named" in page(2.0)
    assert "Judged 0.50 worse." in page(1.5, Round(tried=(("denoise", 1.5),), kept="denoise", read=2.5))
