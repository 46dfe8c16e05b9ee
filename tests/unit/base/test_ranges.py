"""Ranges: each check passes its bounds and refuses what lies outside, by key and with the remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import (
    MOST_ANSWERS,
    require_answers,
    require_count_or_none,
    require_flag,
    require_fraction,
    require_not_negative,
    require_one_of,
    require_positive,
    require_positive_or_inf,
    require_share,
    require_whole,
)

CHECKS: dict[str, tuple[Callable[..., None], list[object], list[object]]] = {
    "share": (require_share, [0, 1, 0.5], [-0.1, 1.1, math.nan]),
    "fraction": (require_fraction, [1, 1e-9], [0, 1.1, math.nan]),
    "positive": (require_positive, [1e-9, 7], [0, -1, math.inf, math.nan]),
    "positive or inf": (partial(require_positive_or_inf, inf_means="ends never"), [1e-9, math.inf], [0, math.nan]),
    "not negative": (require_not_negative, [0, 1e9, math.inf], [-1e-9, math.nan]),
    "whole": (partial(require_whole, least=2), [2, 3], [1, 2.0, 2.5, True, "2", None]),
    "answers": (partial(require_answers, least=2), [2, MOST_ANSWERS], [1, 2.0, True, "2", MOST_ANSWERS + 1, 10**20]),
    "count or none": (partial(require_count_or_none, none_means="takes all"), [1, None], [0, 1.0, 2.5, True, "1"]),
    "flag": (require_flag, [True, False], [0, 1, "true", None]),
    "one of": (partial(require_one_of, options=("a", "b")), ["a", "b"], ["c", "", "ab"]),
}


@pytest.mark.parametrize("name", CHECKS)
def test_values_within_pass_and_others_are_refused_by_key(name: str) -> None:
    check, within, outside = CHECKS[name]
    for value in within:
        check("group.key", value)
    for value in outside:
        with pytest.raises(ConfigError, match=r"^group\.key="):
            check("group.key", value)


def test_a_note_ends_the_message() -> None:
    with pytest.raises(ConfigError, match=r"^workers=-1 must be a whole number of at least 0; 0 uses none$"):
        require_whole("workers", -1, least=0, note="0 uses none")
    with pytest.raises(ConfigError, match=r"^size=0 must be a whole number of at least 1; null takes all$"):
        require_count_or_none("size", 0, none_means="takes all")
    with pytest.raises(ConfigError, match=r"^norm=0 must be above 0; inf clips nothing$"):
        require_positive_or_inf("norm", 0, inf_means="clips nothing")
    with pytest.raises(ConfigError, match=r"^view='x'; choose one of a, b$"):
        require_one_of("view", "x", ("a", "b"))
