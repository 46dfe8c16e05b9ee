"""A policy's own words: where they stand, what they give away, and what is left without it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.tasks.description import (
    GRADES,
    Caption,
    DescriptionText,
    Strip,
    check_description,
    description,
    kind_of_caption,
    struck,
)

FIRST = "<think>far away</think><answer>{}</answer>"
LAST = "<caption> a cat </caption>\n<think>soft\nfur</think><answer>{}</answer>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("thought", "soft\nfur"),
        ("thoughts", "far away soft\nfur"),
        ("caption", "a cat"),
        ("caption_think", "a cat soft\nfur"),
    ],
)
def test_words_of_a_trajectory(text: DescriptionText, expected: str) -> None:
    assert description([FIRST, LAST], text=text) == expected


@pytest.mark.parametrize(
    ("said", "none_for"),
    [
        ("<think>soft</think>", {"caption", "caption_think"}),
        ("<caption>cat</caption>", {"thought", "thoughts", "caption_think"}),
        ("<caption> </caption><think>soft</think>", {"caption", "caption_think"}),
        ("<caption>cat", {"thought", "thoughts", "caption", "caption_think"}),
        ("", {"thought", "thoughts", "caption", "caption_think"}),
    ],
)
def test_no_words_are_none(said: str, none_for: set[str]) -> None:
    assert {text for text in get_args(DescriptionText) if description([said], text=text) is None} == none_for


@pytest.mark.parametrize(
    ("said", "without"),
    [
        ("a rating of around 2.8.", "a rating of around ."),
        ("I give 4/5, maybe 3.25 / 5", "I give , maybe"),
        ("4 out of 5 stars", "stars"),
        ("between 3 and 4", "between and"),
        ("a 50 mm lens at f/2.8 in 2015, 12 people, 35%, 5%", "a 50 mm lens at f/ in 2015, 12 people, 35%, 5%"),
        ("1920x1080, 10.5, 6.5, mp3", "1920x1080, 10.5, 6.5, mp3"),
        ("3,75 it is", "it is"),
        ("1,000 grains and 4,200 more", "1,000 grains and 4,200 more"),
        ("score:3", "score:"),
        ("I give _3.52_ or 7 out of 10, even 7.5/10", "I give _ _ or , even"),
        ("Three point five, four out of five, or two stars", ", , or"),
        ("three point two five out of 5; a four-star image", "; a image"),
        ("three and a half out of five, or four / five", ", or"),
        ("I give it a four; three to four out of five; 72/100", "I give it a ; ;"),
        ("it gives a four, one to five people, 72 out of 120", "it gives a four, one to five people, 72 out of 120"),
        ("two cats, one out of focus, five points of light", "two cats, one out of focus, five points of light"),
    ],
)
def test_numbers_that_may_be_ratings_are_struck(said: str, without: str) -> None:
    assert struck(said, strip="ratings") == without
    assert struck(said, strip="none") == said


def test_grade_words_are_struck_whole_and_in_any_case() -> None:
    said = "Good light, poor focus, badly lit fairground, a DECENT 3.5"
    assert struck(said, strip="ratings_and_grades") == "light, focus, badly lit fairground, a"
    assert struck(" ".join(GRADES), strip="ratings_and_grades") == ""
    assert struck("good 2", strip="ratings") == "good"


@given(st.text(max_size=60), st.sampled_from(get_args(Strip)))
def test_striking_again_strikes_nothing_of_the_kind(text: str, strip: Strip) -> None:
    once = struck(text, strip=strip)
    assert len(struck(once, strip=strip)) <= len(once)


@given(st.floats(1, 5).map(lambda rating: f"{rating:.2f}"))
def test_no_rating_survives(rating: str) -> None:
    assert struck(f"so it is {rating} at last", strip="ratings") == "so it is at last"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<think>x</think>", Caption.ABSENT),
        ("<caption>cut off", Caption.ABSENT),
        ("<caption> \n</caption>", Caption.EMPTY),
        ("<caption>a cat, 3.5</caption>", Caption.RATED),
        ("<caption>a cat of 2015</caption><think>3.5</think>", Caption.PLAIN),
    ],
)
def test_each_caption_is_of_one_kind(text: str, kind: Caption) -> None:
    assert kind_of_caption(text) is kind


def test_names_that_are_not_there_are_named() -> None:
    check_description("probe", text="caption", strip="none")
    with pytest.raises(ConfigError, match=r"probe\.text='captions'; choose one of own, thought, thoughts, caption"):
        check_description("probe", text="captions", strip="none")
    with pytest.raises(ConfigError, match=r"probe\.strip='all'; choose one of none, ratings"):
        check_description("probe", text="caption", strip="all")
