"""Lines that a run prints before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoom_iqa.config.announcement import announce_evaluation, described, not_learned
from zoom_iqa.config.composition import composed
from zoom_iqa.policy.policy import Policy


def test_an_evaluation_says_place_policy_images_and_how_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    announce_evaluation(Path("runs/a"), {"policy": "\x1b[2Jp"}, {"koniq": 2010, "livew": 1162})
    assert capsys.readouterr().err == (
        "run folder  runs/a\n"
        "policy      \\x1b[2Jp\n"
        "koniq       2,010 images\n"
        "livew       1,162 images\n"
        "to stop     Control-C or SIGTERM: the step in hand ends, everything is saved\n"
        "to go on    the same command\n"
    )


def test_a_policy_in_a_line(random_policy: Policy) -> None:
    count = sum(parameter.numel() for parameter in random_policy.model.parameters())
    assert described(random_policy, "there") == f"there: {count / 1e6:.1f} M parameters in float32 on cpu"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["task=chain"], "ChainTask"),
        (["task=compare"], "CompareTask"),
        (["task=zoom"], None),
        (["task=zoom_released"], None),
        (["task=chain", "policy.path=runs/mine/policy"], None),
    ],
)
def test_the_shipped_policy_asked_what_it_has_not_learned_says_so(overrides: list[str], said: str | None) -> None:
    rows = not_learned(composed("evaluate", overrides))
    assert ("note" in rows) is (said is not None)
    assert said is None or f"its answers to this task ({said}) say little; policy.path=FOLDER" in rows["note"]
