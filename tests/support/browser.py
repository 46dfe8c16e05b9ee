"""Pages in headless Chromium, driven by playwright; tests that need it are skipped by name where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def opened(path: Path, *, width: int = 1280) -> Iterator[Any]:
    """A page of playwright at a file. Errors of scripts, console messages and fetches fail the test at the end."""
    file = path.as_uri()
    with _driven(own=lambda url: url.partition("#")[0] == file, harmless=(), width=width) as page:
        page.goto(file)
        page.wait_for_selector("body[data-ready]", state="attached")
        yield page


@contextmanager
def visited(address: str, *, width: int = 1280, harmless: Sequence[str] = ()) -> Iterator[Any]:
    """As ``opened``, at a server of this machine; ``harmless`` are console messages of a library's page."""
    with _driven(own=lambda url: url.startswith(address), harmless=harmless, width=width) as page:
        page.goto(address)
        yield page


@contextmanager
def _driven(*, own: Callable[[str], bool], harmless: Sequence[str], width: int) -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium, which is not installed here")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    wrong: list[str] = []

    def allowed(url: str) -> bool:
        return url.startswith(("data:", "blob:")) or own(url)

    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: None if message.text in harmless else wrong.append(message.text))
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: None if allowed(request.url) else wrong.append(request.url))
        yield page
        browser.close()
    assert not wrong


def covered_titles(page: Any) -> list[str]:
    """Titles of Plotly's charts that lie under the chart's own buttons, and charts that have no buttons."""
    found: list[str] = page.evaluate(
        """() => Array.from(document.querySelectorAll(".js-plotly-plot")).flatMap((chart) => {
          const title = chart.querySelector(".gtitle"), group = chart.querySelector(".modebar-group");
          if (!title || !group) return ["no title or no buttons"];
          const words = title.getBoundingClientRect();
          return Array.from(chart.querySelectorAll(".modebar-btn")).some((button) => {
            const box = button.getBoundingClientRect();
            return box.left < words.right && box.right > words.left && box.top < words.bottom && box.bottom > words.top;
          }) ? [title.textContent] : [];
        })"""
    )
    return found
