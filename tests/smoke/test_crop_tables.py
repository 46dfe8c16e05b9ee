"""Tables of experiments/crops from measurements written by hand."""

from __future__ import annotations

from typing import Any

from support.study_scripts import load_script


def measured(regional: list[bool], others: list[bool]) -> dict[str, Any]:
    """Whether each image was looked at."""
    kinds = ((True, regional), (False, others))
    return {"when": {"rows": [{"regional": kind, "looked": one} for kind, looked in kinds for one in looked]}}


def test_look_rates_tell_less_looking_from_better_looking() -> None:
    """Seed 0 gives up half of its looks elsewhere, seed 1 half of all: 0.5 and 0 further apart; t is 12.706."""
    yes, half = [True, True], [True, False]
    arms = {
        "small_sft": {0: measured(yes, yes), 1: measured(yes, yes)},
        "small_grpo": {0: measured(yes, half), 1: measured(half, half)},
    }
    head, rows = load_script("crops/collect.py").look_rates(arms)
    found = {row[1]: dict(zip(head, row, strict=True)) for row in rows}
    assert [found[kind]["by seed"] for kind in found] == ["+0.000 -0.500", "-0.500 -0.500", "+0.500 +0.000"]
    apart = found["regional minus others"]
    assert (apart["SFT"], apart["GRPO minus SFT"]) == ("0.000 ± 0.000", "+0.250")
    assert apart["over seeds"] == "[-2.927, +3.427]"  # 0.25 ± 12.706 * 0.25
