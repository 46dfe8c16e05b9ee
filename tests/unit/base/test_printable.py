"""Text from outside is one printable line, wherever an error says it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.errors import DataError, ImageError, ProtocolError, UndefinedMetricError, ZoomIQAError
from zoom_iqa.base.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ümlaut, 图.png", "plain, ümlaut, 图.png"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nerror: b\r\tc", "a\\nerror: b\\r\\tc"),
        ("\x7f\x85\x9b31m", "\\x7f\\x85\\x9b31m"),
        ("a\u2028b\u202ec\u2066d", "a\\u2028b\\u202ec\\u2066d"),
        ("half \ud800", "half \\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_in_its_middle() -> None:
    assert printable("ab" * 500 + "\n", limit=8) == "abab... (1,001 characters) ...bab\\n"
    assert printable("12345678", limit=8) == "12345678"


@given(st.text(st.characters()))
def test_errors_say_nothing_raw(text: str) -> None:
    for error in (ZoomIQAError(text), ImageError(text), ProtocolError("bad_rating", text), DataError(text)):
        assert str(error).isprintable()
    *lines, last = str(DataError("rows", ["first", text])).split("\n")
    assert lines == ["rows", "  - first"]
    assert last.isprintable()


def test_errors_cross_processes_as_they_are() -> None:
    for error in (
        DataError("two", ["a\nb", "c"]),
        ProtocolError("bad_rating", "x\x1b"),
        UndefinedMetricError("srcc", "constant"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
