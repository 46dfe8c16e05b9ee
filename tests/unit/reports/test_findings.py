"""The sentences of a page: what looking did, whether a stage changed anything, and what asks for a second look."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from support.made_run_folder import UNREADABLE, answer, evaluation_folder, on_own_scale, run_folder
from zoom_iqa.base.errors import DataError
from zoom_iqa.base.judgements import RatingDistribution
from zoom_iqa.base.records import Record
from zoom_iqa.evaluation.figures import ratings_by_image
from zoom_iqa.reports.contents import read_contents
from zoom_iqa.reports.findings import Looking, findings_of, gain, looking

BOX = (0, 0, 4, 4)


def in_order(count: int, *, off: float = 0.0) -> list[Record]:
    """Ratings in the very order of the opinion scores."""
    return [answer(f"i{n}", 1.5 + 3 * n / count, 1.5 + 3 * n / count + off) for n in range(count)]


def said(folder: Path, text: str) -> tuple[str, str]:
    (found,) = [finding for finding in findings_of(read_contents(folder)) if text in finding.text]
    return found.kind, found.text


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (answer("a", 3.0, 2.0, 2.5, box=BOX), 0.5),  # |2.0 - 3.0| - |2.5 - 3.0|
        (answer("a", 3.0, 3.2, 4.0, box=BOX), -0.8),
        (answer("a", 3.0, 2.0), None),  # it did not look
        (answer("a", 3.0, UNREADABLE, 2.5, box=BOX), None),
        (answer("a", 3.0, 2.0, UNREADABLE, box=BOX), None),
    ],
)
def test_a_gain_is_how_much_nearer_the_last_rating_is(record: Record, expected: float | None) -> None:
    assert gain(record) == (None if expected is None else pytest.approx(expected))


def test_trajectories_that_looked_are_counted_by_what_became_of_them() -> None:
    records = [
        answer("a", 3.0, 2.0, 2.5, box=BOX),
        answer("b", 3.0, 2.0, 2.9, box=BOX),
        answer("c", 3.0, 3.2, 4.0, box=BOX),
        answer("d", 3.0, 2.5, 2.505, box=BOX),  # half a hundredth is no change
        answer("e", 3.0, 3.0),
    ]
    assert looking(ratings_by_image(records)) == Looking(helped=2, hurt=1, same=1)


def test_a_move_of_a_hundredth_is_none() -> None:
    records = [answer("a", 3.0, 3.02, 3.01, box=BOX), answer("b", 3.0, 3.01, 3.02, box=BOX)]
    assert looking(ratings_by_image(records)) == Looking(helped=0, hurt=0, same=2)


def test_a_stage_that_orders_better_is_said_to_be_higher(tmp_path: Path) -> None:
    """Against the first stage, whose ratings fall as the scores rise, SRCC goes from -1 to 1."""
    falling = [answer(f"i{n}", 1 + 3 * n / 30, 4 - 3 * n / 30) for n in range(30)]
    folder = run_folder(tmp_path / "run", {"sft": falling, "grpo": in_order(30)})
    kind, text = said(folder, "grpo against sft")
    assert kind == "good"
    assert "SRCC +2.000, 95 % interval of the difference +2.000 to +2.000 on 30 images: higher" in text


def test_a_stage_that_orders_worse_asks_for_a_look(tmp_path: Path) -> None:
    falling = [answer(f"i{n}", 1 + 3 * n / 30, 4 - 3 * n / 30) for n in range(30)]
    kind, text = said(run_folder(tmp_path / "run", {"sft": in_order(30), "grpo": falling}), "grpo against sft")
    assert (kind, text.rpartition(": ")[2]) == ("watch", "lower on these images.")


def test_equal_answers_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"sft": in_order(30), "grpo": in_order(30, off=0.1)})
    kind, text = said(folder, "grpo against sft")
    assert kind == "plain"
    assert "SRCC +0.000" in text
    assert "cannot tell the two apart" in text


def test_a_difference_is_over_photographs(tmp_path: Path) -> None:
    """Six images of two photographs are two draws."""
    records = [answer(f"i{n}", 1.5 + n / 2, 1.5 + n / 2, photograph=f"photograph{n // 3}") for n in range(6)]
    kind, text = said(run_folder(tmp_path / "run", {"sft": records, "grpo": records}), "grpo against sft")
    assert (kind, text.partition("(")[2]) == ("plain", "2 clusters, at least 3 are needed).")


def expecting(records: Sequence[Record], means: Sequence[float]) -> list[Record]:
    expected = [RatingDistribution(mean=mean, std=0.1, mass=1.0) for mean in means]
    return [replace(record, expected=one) for record, one in zip(records, expected, strict=True)]


@pytest.mark.parametrize(
    ("before", "kind", "says"),
    [
        ([n ^ 1 if n & 2 else n for n in range(32)], "watch", "may be less noise in their digits, not judgement."),
        ([*range(32)][::-1], "plain", ": judgement without the noise of an answer's digits."),
    ],
)
def test_a_gain_that_expected_ratings_do_not_share_asks_for_a_look(
    before: list[int], kind: str, says: str, tmp_path: Path
) -> None:
    """Answers go from the reverse order to the right one; expected ratings too, or to as many swapped neighbours."""
    falling = [answer(f"i{n}", 1.5 + 3 * n / 32, 4.5 - 3 * n / 32) for n in range(32)]
    after = [n if n & 2 else n ^ 1 for n in range(32)]
    judged = {
        "sft": expecting(falling, [1.5 + 3 * n / 32 for n in before]),
        "grpo": expecting(in_order(32), [1.5 + 3 * n / 32 for n in after]),
    }
    found, text = said(run_folder(tmp_path / "run", judged), "SRCC of expected ratings")
    assert (found, text.endswith(says)) == (kind, True)


def test_unreadable_answers_are_counted_by_reason(tmp_path: Path) -> None:
    broken = [answer(f"x{n}", 3.0, UNREADABLE) for n in range(3)]
    kind, text = said(run_folder(tmp_path / "run", {"sft": [*in_order(9), *broken]}), "could not be read")
    assert (kind, text) == ("watch", "sft: 3 of 12 answers could not be read (malformed_json 3).")


def test_ratings_that_lie_to_one_side_are_said_to(tmp_path: Path) -> None:
    assert said(run_folder(tmp_path / "run", {"sft": in_order(9, off=-0.3)}), "on average") == (
        "watch",
        "sft: ratings lie 0.30 below the opinion scores on average.",
    )


def test_ratings_on_a_scale_of_their_own_lie_to_no_side(tmp_path: Path) -> None:
    folder = on_own_scale(run_folder(tmp_path / "run", {"sft": in_order(9, off=-0.3)}))
    assert not [finding for finding in findings_of(read_contents(folder)) if "on average" in finding.text]


def test_every_data_set_of_an_evaluation_is_spoken_of(tmp_path: Path) -> None:
    broken = [answer(f"k{n}", 2.0 + n, UNREADABLE if n == 2 else 2.0 + n, dataset="koniq") for n in range(3)]
    perfect = [answer(f"l{n}", 2.0 + n, 2.0 + n, dataset="livew") for n in range(3)]
    folder = evaluation_folder(tmp_path / "run", [*broken, *perfect])
    assert said(folder, "could not be read") == (
        "watch",
        "koniq: 1 of 3 answers could not be read (malformed_json 1).",
    )
    assert said(folder, "could be read") == ("good", "livew: every one of 3 answers could be read.")


def test_scores_on_few_values_are_said_to_have_collapsed(tmp_path: Path) -> None:
    two_values = [answer(f"i{n}", 1 + n / 10, 2.0 + n % 2) for n in range(20)]
    kind, text = said(run_folder(tmp_path / "run", {"sft": two_values}), "different values")
    assert kind == "watch"
    assert "0.10 different values a rated image, the opinion scores 1.00; scores may have collapsed" in text


def test_unreadable_answers_are_no_collapse(tmp_path: Path) -> None:
    half = [answer(f"i{n}", 1 + n / 10, UNREADABLE if n % 2 else 1 + n / 10) for n in range(20)]
    kind, text = said(run_folder(tmp_path / "run", {"sft": half}), "different values")
    assert (kind, "take 1.00 different values a rated image" in text) == ("plain", True)


def test_a_log_is_told_by_its_ends(tmp_path: Path) -> None:
    """Means of steps 0 to 4 and of 5 to 9."""
    rows = [{"step": n, "reward/total": float(n)} for n in range(10)]
    folder = run_folder(tmp_path / "run", {"sft": in_order(9), "grpo": in_order(9)}, logs={"grpo": rows})
    assert said(folder, "first 5 steps")[1] == "grpo, its first 5 steps against its last: reward 2 → 7."


def test_correlations_without_a_value_say_why(tmp_path: Path) -> None:
    constant = [answer(f"i{n}", 1 + n / 10, 2.0) for n in range(20)]
    kind, text = said(run_folder(tmp_path / "run", {"sft": constant}), "SRCC is")
    assert kind == "watch"
    assert text.startswith("sft: SRCC is undefined (")


def test_a_run_of_a_version_without_people_s_variety_is_read(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"sft": in_order(30)})
    _without(folder, "unique_mos_ratio")
    assert not [finding for finding in findings_of(read_contents(folder)) if "different values" in finding.text]


def test_a_run_without_a_figure_that_pages_read_is_named(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", {"sft": in_order(30)})
    _without(folder, "failures")
    with pytest.raises(DataError, match=r"metrics\.json: sft has no failures; it is damaged"):
        read_contents(folder)


def _without(folder: Path, figure: str) -> None:
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics["sft"][figure]
    path.write_text(json.dumps(metrics))
