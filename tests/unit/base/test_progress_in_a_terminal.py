"""The bar as a terminal shows it: begun, moved and left again."""

from __future__ import annotations

import re

import pytest

from support.terminal import HIDDEN, SHOWN, counts_in, seen_by_terminal
from zoom_iqa.base.progress import ProgressLine


def test_a_block_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        with ProgressLine("evaluate sft", total=3) as line:
            for _ in range(3):
                line.advance(figures={"srcc": 0.5})

    text = seen_by_terminal(work, monkeypatch)
    assert text.startswith(HIDDEN)
    assert "evaluate sft" in text
    assert "━" in text
    assert counts_in(text)[-1] == "3/3"
    assert "srcc 0.5" in text
    assert SHOWN in text


def test_names_from_outside_move_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        with ProgressLine("evaluate \x1b[2J[bold]x[/]", total=1):
            pass

    text = seen_by_terminal(work, monkeypatch)
    assert "\x1b[2J" not in text
    assert r"evaluate \x1b[2J[bold]x[/]" in re.sub(r"\x1b\[[\d;]*m", "", text)
