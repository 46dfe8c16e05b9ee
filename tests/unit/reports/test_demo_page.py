"""The demo page in a real browser: drop an image, watch both turns, read the rating; two images; what goes wrong."""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import visited
from support.demo_assessor import demo_assessor
from support.made_assessments import grey_image

gradio = pytest.importorskip("gradio", reason="needs gradio (extra demo)")

HARMLESS = ("Method not implemented.",)  # of Gradio's own scripts
PAUSE_S = 0.05


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        number: int = asked.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from zoom_iqa.reports.demo.page import page
    from zoom_iqa.reports.demo.serving import launch

    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        made = page(demo_assessor(pause_s=PAUSE_S), policy="typed <by hand>", folder=folder)
        yield launch(made, port=free_port())
        made.close(verbose=False)


@pytest.fixture
def images(tmp_path: Path) -> dict[str, str]:
    """Files by name: those of ``demo_assessor``, and three that cannot be judged."""
    paths = {name: tmp_path / f"{name}.png" for name in ("black", "grey", "light", "thin", "text", "huge")}
    for name, grey in (("black", 0), ("grey", 128), ("light", 200)):
        grey_image(grey, width=400, height=300).save(paths[name])
    grey_image(9, width=500, height=2).save(paths["thin"])
    paths["text"].write_text("no image")
    paths["huge"].write_bytes(os.urandom(21_000_000))
    return {name: str(path) for name, path in paths.items()}


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    with visited(address, harmless=HARMLESS) as driven:
        driven.wait_for_selector("input[type=file]", state="attached")
        yield driven


def give(page: Any, path: str, place: int = 0) -> None:
    """Into a drop zone, by its place on the page."""
    page.locator("input[type=file]").nth(place).set_input_files(path)


def drop(page: Any, path: str) -> None:
    """As a person does with the mouse."""
    content = list(Path(path).read_bytes())
    transfer = page.evaluate_handle(
        "([content, name]) => { const data = new DataTransfer();"
        " data.items.add(new File([new Uint8Array(content)], name, {type: 'image/png'})); return data; }",
        [content, Path(path).name],
    )
    page.locator("button:has-text('Drop File Here')").first.dispatch_event("drop", {"dataTransfer": transfer})


def test_a_dropped_image_is_watched_to_its_rating(page: Any, images: dict[str, str], tmp_path: Path) -> None:
    drop(page, images["light"])
    page.wait_for_selector(".turn dd", timeout=20_000)  # the first paragraph is being written
    assert page.locator(".busy").inner_text() == "Turn 1: the policy looks at the image …"
    assert page.locator(".caret").count() == 1
    assert page.locator("figure").count() == 1
    page.wait_for_selector("figure.crop", timeout=20_000)
    assert page.locator(".rating").count() == 0
    assert "Turn 2" in page.locator(".busy").inner_text()
    page.wait_for_selector(".rating", timeout=20_000)
    assert page.locator(".rating b").inner_text() == "2.75"
    assert "Expected rating 2.75 (fair), spread 0.10" in page.locator(".expected").inner_text()
    assert "3.50 before, 2.75 after: lowered by 0.75" in page.locator("figure.crop figcaption").inner_text()
    assert page.locator(".turn h3").all_inner_texts() == ["Turn 1: the image", "Turn 2: the image and its crop"]
    assert red_at(page, x=0.10, y=0.5)  # the left side of the box around 10-70 % of the width
    assert not red_at(page, x=0.85, y=0.5)


def red_at(page: Any, *, x: float, y: float) -> bool:
    """Whether the picture is red about there, between 2 % left and right of it."""
    pixels = page.evaluate(
        "([x, y]) => { const img = document.querySelector('figure img'); const c = document.createElement('canvas');"
        " c.width = img.naturalWidth; c.height = img.naturalHeight; const g = c.getContext('2d');"
        " g.drawImage(img, 0, 0); const w = Math.round(0.04 * c.width);"
        " return Array.from(g.getImageData((x - 0.02) * c.width, y * c.height, w, 1).data); }",
        [x, y],
    )
    return any(
        red > 180 and green < 90 and blue < 110
        for red, green, blue in zip(pixels[::4], pixels[1::4], pixels[2::4], strict=True)
    )


def test_an_example_is_judged_when_it_is_clicked(page: Any) -> None:
    page.locator(".examples button").nth(0).click()
    page.wait_for_selector(".rating", timeout=30_000)
    assert "coffee-as-it-is.png" in page.locator("figcaption").first.inner_text()


def test_what_is_wrong_is_one_line_and_the_next_image_is_judged(page: Any, images: dict[str, str]) -> None:
    for name, why in (("text", "not an image of a known format"), ("thin", "too thin for the vision tower")):
        give(page, images[name])
        page.wait_for_selector(f".problem:has-text('{why}')", timeout=20_000)
        assert page.locator(".problem").inner_text().startswith(f"{name}.png: ")
        assert page.locator("figure").count() == 0
    give(page, images["huge"])
    page.wait_for_selector(".toast-body:has-text('exceed the maximum allowed size of 20')", timeout=20_000)
    give(page, images["grey"])
    page.wait_for_selector(".rating", timeout=20_000)
    assert page.locator(".problem").count() == 0


def test_markup_of_a_policy_is_text(page: Any, images: dict[str, str]) -> None:
    give(page, images["black"])
    page.wait_for_selector(".rating", timeout=20_000)
    said = page.locator(".turn dd").first.inner_text()
    assert said == '<img src=x onerror="alert(1)"> ${alert(2)} {{alert(3)}} \\x1b[31m'
    assert "Policy: typed <by hand>" in page.locator("body").inner_text()


def test_two_images_are_judged_side_by_side(page: Any, images: dict[str, str]) -> None:
    page.get_by_role("tab", name="Two images").click()
    give(page, images["light"], place=1)
    give(page, images["grey"], place=2)
    page.wait_for_selector(".compared", timeout=40_000)
    assert page.locator(".rating b").all_inner_texts() == ["2.75", "3.00"]
    assert page.locator(".compared").inner_text() == (
        "The right one is judged better by 0.25: expected ratings 2.75 and 3.00, spread of the difference 0.14."
    )


def test_one_image_at_a_time(address: str, images: dict[str, str]) -> None:
    with visited(address, harmless=HARMLESS) as first:
        first.wait_for_selector("input[type=file]", state="attached")
        second = first.context.browser.new_page()
        second.goto(address)
        second.wait_for_selector("input[type=file]", state="attached")
        give(first, images["light"])
        first.wait_for_selector(".turn", timeout=20_000)
        give(second, images["grey"])
        first.wait_for_selector(".rating", timeout=30_000)
        assert second.locator(".rating").count() == 0
        second.wait_for_selector(".rating", timeout=30_000)


def test_browsers_are_told_to_fetch_nothing_elsewhere(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert address.startswith("http://127.0.0.1:")
