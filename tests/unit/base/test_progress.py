"""The progress line outside a terminal: how often, what, and how long it says is left."""

from __future__ import annotations

import io
import re

import pytest

from zoom_iqa.base import progress
from zoom_iqa.base.progress import ProgressLine


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by the test."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_with_the_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressLine("evaluate sft", total=10) as line:
        for _ in range(10):
            clock[0] += 8
            line.advance(figures={"nll": 1.23456})
    said = capsys.readouterr().err.splitlines()
    assert [re.match(r"evaluate sft (\d+)/10", text)[1] for text in said] == ["2", "4", "6", "8", "10"]  # type: ignore[index]
    assert said[0] == "evaluate sft 2/10, 0:16 elapsed, 1:04 left  nll 1.23"
    assert said[-1] == "evaluate sft 10/10, 1:20 elapsed, 0:00 left  nll 1.23"


def test_a_continued_run_estimates_by_its_own_pace(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine("SFT", total=100)
    line.start_at(90)
    clock[0] += 20
    line.advance()
    assert capsys.readouterr().err == "SFT 91/100, 0:20 elapsed, 3:00 left\n"


def test_only_one_process_shows_it(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine("SFT", total=1, shown=False)
    line.advance()
    assert capsys.readouterr().err == ""


def test_others_print_while_the_bar_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal: the bar is erased, the text stands alone on its line, and the bar comes again."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    with ProgressLine("assess", total=2) as line:
        line.advance()
        before = len(terminal.getvalue())
        with line.aside():
            erased = terminal.getvalue()[before:]
            terminal.write("a card\n")
        line.advance()
    assert erased.endswith("\x1b[2K")  # the cursor is back on the bar's line, which is empty
    after = terminal.getvalue().partition("a card\n")[2]
    assert "assess" in after
    assert "2/2" in after
