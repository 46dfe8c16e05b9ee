"""Pages in headless Chromium, driven by playwright; tests that need it are skipped by name where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def opened(path: Path, *, width: int = 1280) -> Iterator[Any]:
    """A page of playwright at a file. Errors of scripts, console messages and fetches fail the test at the end."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium, which is not installed here")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    wrong: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: None if _own(request.url, path) else wrong.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]", state="attached")
        yield page
        browser.close()
    assert not wrong


def _own(url: str, path: Path) -> bool:
    return url.startswith(("data:", "blob:")) or url.partition("#")[0] == path.as_uri()
