"""The demo page in a real browser: drop an image, watch both turns, read the rating; two images; what goes wrong."""

from __future__ import annotations

import http.client
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.browser import visited
from support.demo_assessor import demo_assessor
from support.made_assessments import grey_image

gradio = pytest.importorskip("gradio", reason="needs gradio (extra demo)")

HARMLESS = ("Method not implemented.",)  # of Gradio's own scripts
PAUSE_S = 0.02
HISTORY = """() => {
  window.moments = [];
  const text = (name) => document.querySelector(name)?.textContent ?? "";
  const note = () => moments.push({busy: text(".busy"), rating: text(".rating b"), turn: text(".turn"),
    figures: document.querySelectorAll("figure").length, carets: document.querySelectorAll(".caret").length});
  new MutationObserver(note).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
"""Notes every state of the page, whatever the pace of the machine."""


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        number: int = asked.getsockname()[1]
        return number


@dataclass
class Served:
    """Where the page is, and how many images were judged at once at most."""

    address: str = ""
    now: int = 0
    most: int = 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from zoom_iqa.reports.demo.page import page
    from zoom_iqa.reports.demo.serving import launch

    served, assessor = Served(), demo_assessor(pause_s=PAUSE_S)
    watch = assessor.watch

    def counted(image: Any) -> Iterator[Any]:
        served.now += 1
        served.most = max(served.most, served.now)
        try:
            yield from watch(image)
        finally:
            served.now -= 1

    assessor.watch = counted  # type: ignore[method-assign]
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        made = page(assessor, policy="typed <by hand>", folder=folder)
        served.address = launch(made, port=free_port())
        yield served
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
def page(served: Served) -> Iterator[Any]:
    with visited(served.address, harmless=HARMLESS) as driven:
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
    page.evaluate(HISTORY)
    drop(page, images["light"])
    page.wait_for_selector(".rating", timeout=30_000)
    moments = page.evaluate("moments")
    first = [moment for moment in moments if moment["busy"] == "Turn 1: the policy looks at the image …"]
    second = [moment for moment in moments if moment["busy"].startswith("Turn 2: ")]
    assert len({moment["turn"] for moment in first}) > 3  # it is read as it is written
    assert any((moment["figures"], moment["carets"]) == (1, 1) for moment in first)
    assert any((moment["figures"], moment["carets"]) == (2, 1) for moment in second)
    assert moments.index(first[-1]) < moments.index(second[0])
    assert {moment["rating"] for moment in (*first, *second)} == {""}
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
    give(page, images["text"], place=2)
    page.wait_for_selector(".problem", timeout=20_000)
    assert page.locator(".compared").count() == 0
    assert page.locator(".rating b").all_inner_texts() == ["2.75"]


def test_one_image_at_a_time_and_a_browser_that_goes_keeps_nobody_waiting(
    served: Served, images: dict[str, str]
) -> None:
    with visited(served.address, harmless=HARMLESS) as first:
        others = [first.context.browser.new_page() for _ in range(2)]
        for other in others:
            other.goto(served.address)
        for page in (first, *others):
            page.wait_for_selector("input[type=file]", state="attached")
        goes, waits = others
        give(goes, images["light"])
        goes.wait_for_selector(".turn", timeout=20_000)
        give(first, images["light"])
        give(waits, images["grey"])
        goes.close()
        for page, rating in ((first, "2.75"), (waits, "3.00")):
            page.wait_for_selector(".rating", timeout=40_000)
            assert page.locator(".rating b").inner_text() == rating
    assert served.most == 1


def test_browsers_are_told_to_fetch_nothing_elsewhere(served: Served) -> None:
    with urllib.request.urlopen(served.address) as answer:
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert served.address.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("127.0.0.1", 200), ("elsewhere.example", 400)])
def test_the_page_is_there_under_the_names_of_this_machine_alone(served: Served, host: str, status: int) -> None:
    port = int(served.address.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/", headers={"Host": f"{host}:{port}"})
    assert connection.getresponse().status == status
    connection.close()


def test_an_upload_that_is_broken_off_prints_nothing(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    port = int(served.address.rsplit(":", 1)[1])
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\nhalf'
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall((head + part).encode())
        time.sleep(0.3)
    time.sleep(0.5)
    assert "Traceback" not in capfd.readouterr().err
