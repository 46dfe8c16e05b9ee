"""Figures of the crops study: which images a comparison takes, and how it pairs them."""

from __future__ import annotations

import pytest

from support.study_scripts import load_script


def test_a_difference_between_places_is_paired_over_photographs() -> None:
    """Asked ranks all images as people do, a random place the other way round: every resample differs by 2."""
    script = load_script("crops/collect.py")
    rows = [
        {
            "photograph": f"p{number // 2}",
            "mos": 1.0 + 0.2 * number,
            "ratings": dict.fromkeys(script.PLACES, 1.0 + 0.2 * number) | {"random place": 5.0 - 0.2 * number},
        }
        for number in range(12)
    ]
    found = script.compared([rows, rows], "asked", "random place", 200)
    assert (script.said(found), found.over_seeds) == ("+2.000 [+2.000, +2.000]", (2.0, 2.0))
    assert script.price(0.05, found) == "0.000"
    assert script.price(5.0, found) == "0.025"  # a gain of 2 are 200 hundredths
    assert script.price(5.0, script.compared([rows], "random place", "asked", 200)) == "no gain told"
    assert script.price(5.0, script.compared([rows], "asked", "random place", 0)) == "no gain told"  # no interval


def test_a_comparison_of_two_places_keeps_images_that_lack_a_third() -> None:
    """A look at nearly all of an image leaves no place that misses: on such images a random place ranks as asked."""
    script = load_script("crops/collect.py")
    rows = [
        {"photograph": f"p{n}", "mos": 1.0 + n, "ratings": {"asked": n, "random place": n if n > 5 else -n}}
        for n in range(12)
    ]
    for row in rows[:6]:
        row["ratings"] |= dict.fromkeys(list(script.PLACES)[2:], row["mos"])
    pair = 1.0 - script.srccs(*script.columns(rows, ["random place"]))[0]
    assert script.compared([rows], "asked", "random place", 0).value == pytest.approx(pair)
    assert pair == pytest.approx(35 / 143)  # ranks 6 5 4 3 2 1 7 8 ... 12: 6 * 70 / (12 * 143)


def test_a_gain_of_grpo_is_of_images_that_both_policies_rate() -> None:
    """SFT ranks the other way round, and of seven images GRPO has not rated the last."""
    script, arms = load_script("crops/collect.py"), {}
    for stage, sign in (("sft", -1.0), ("grpo", 1.0)):
        rows = [{"id": n, "photograph": f"p{n}", "mos": 1.0 + n} for n in range(7)]
        rated = [row | {"ratings": {"asked": sign * row["id"], "when asked": sign * row["id"]}} for row in rows]
        rated[6:] = [rows[6] | {"ratings": {}}] if stage == "grpo" else rated[6:]
        when = [row | {"regional": regional} for row in rated for regional in (True, False)]
        arms[f"usual_{stage}"] = {0: {"regional": rated, "when": {"rows": when}}}
    same = ["6", "-1.000", "1.000", "+2.000 [+2.000, +2.000]", ""]  # of one seed no interval over seeds
    assert script.gains(arms, 100)[1] == [
        ["usual", kind, *same] for kind in ("regional", "regional, looked at", "others")
    ]
