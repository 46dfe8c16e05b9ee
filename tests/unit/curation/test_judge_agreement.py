"""Agreement of two judges against numbers worked out by hand, and intervals against a loop over the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from zoom_iqa.curation.judge_agreement import agreement, kappa
from zoom_iqa.curation.judging import Control, Judgement
from zoom_iqa.tasks.grades import CRITERIA


def judgement(
    image: str, accuracy: int, *, system: str = "a", control: Control | None = None, repeat: int = 0, about: str = ""
) -> Judgement:
    """Grades of 1 but for accuracy."""
    grades = {**dict.fromkeys(CRITERIA, 1), "accuracy": accuracy}
    text = "".join(f"<{name}>{grade}</{name}>" for name, grade in grades.items())
    return Judgement(
        system=system, dataset="d", id=image, control=control, repeat=repeat, about=about, text=text, finish="stop"
    )


def counts(pairs: list[tuple[int, int]]) -> np.ndarray:
    """How often one judge gave the row's grade of 1 to 9 and the other the column's."""
    table = np.zeros((9, 9))
    for first, second in pairs:
        table[first - 1, second - 1] += 1
    return table


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1, 1), (5, 5), (9, 9)], 1.0),
        ([(1, 9), (9, 1)], -1.0),
        ([(1, 1), (1, 9), (9, 1), (9, 9)], 0.0),
        ([(1, 1), (1, 2), (2, 2), (2, 2)], 0.5),  # one off by 1; by chance 2 * 3 / 4 + 2 * 1 / 4 would be
        ([(5, 5), (5, 5)], None),
        ([], None),
    ],
)
def test_weighted_kappa(pairs: list[tuple[int, int]], expected: float | None) -> None:
    found = kappa(counts(pairs))
    assert found == (None if expected is None else pytest.approx(expected))


def test_agreement_is_over_texts_that_both_graded() -> None:
    one = [judgement(image, grade) for image, grade in zip("wxyz", (1, 4, 6, 9), strict=True)]
    other = [judgement(image, grade) for image, grade in zip("wxyv", (2, 5, 7, 1), strict=True)]
    found = agreement(one, other, n_resamples=100, seed=0)
    assert list(found) == list(CRITERIA)
    accuracy = found["accuracy"]
    assert (accuracy.texts, accuracy.srcc) == (3, pytest.approx(1.0))
    assert accuracy.means == (pytest.approx(11 / 3), pytest.approx(14 / 3))
    expected = np.mean([(a - b) ** 2 for a in (1, 4, 6) for b in (2, 5, 7)])
    assert accuracy.kappa == pytest.approx(1 - 1 / expected)  # every pair is one apart
    assert found["confidence"].srcc == "srcc is undefined: all predictions are equal"
    assert isinstance(found["confidence"].kappa, str)
    assert found["confidence"].srcc_interval is found["confidence"].kappa_interval is None


def test_repeats_are_averaged_and_controls_left_out() -> None:
    """Means of w, x, y: 2, 4, 9 and 3, 2, 8, whose ranks differ by 1, 1 and 0; kappa is over repeats that both gave."""
    one = [judgement("w", 1), judgement("w", 3, repeat=1), judgement("x", 4), judgement("y", 9)]
    other = [judgement("w", 3), judgement("x", 2), judgement("y", 8), judgement("y", 8, repeat=2)]
    controls = [judgement("z", 9, control="template"), judgement("w", 9, control="swapped")]
    found = agreement([*one, *controls], [*other, *controls], n_resamples=100, seed=0)["accuracy"]
    assert (found.texts, found.srcc) == (3, pytest.approx(1 - 6 * 2 / (3 * 8)))
    assert found.kappa == pytest.approx(kappa(counts([(1, 3), (4, 2), (9, 8)])))


def test_grades_are_paired_within_a_repeat() -> None:
    one, other = ([judgement("x", 3), judgement("x", 7, repeat=1)] for _ in range(2))
    assert agreement(one, other, n_resamples=10, seed=0)["accuracy"].kappa == 1.0


def test_judges_of_other_texts_have_nothing_to_agree_on() -> None:
    assert agreement([judgement("x", 5)], [judgement("x", 5, system="b")], n_resamples=10, seed=0) == {}
    changed = judgement("x", 5, about="other words of the same system")
    assert agreement([judgement("x", 5)], [changed], n_resamples=10, seed=0) == {}


def test_intervals_equal_a_loop_over_the_same_draws() -> None:
    """Two systems' texts about an image are drawn together."""
    rng = np.random.default_rng(0)
    grades = {(system, str(image)): rng.integers(1, 10) for image in range(12) for system in "ab"}
    noise = {key: int(np.clip(grade + rng.integers(-2, 3), 1, 9)) for key, grade in grades.items()}
    one = [judgement(image, int(grade), system=system) for (system, image), grade in grades.items()]
    other = [judgement(image, grade, system=system) for (system, image), grade in noise.items()]
    found = agreement(one, other, n_resamples=200, seed=3)["accuracy"]
    generator, correlations, kappas = np.random.default_rng(3), [], []
    for _ in range(200):
        drawn = generator.integers(12, size=12)
        pairs = [(int(grades[s, str(i)]), noise[s, str(i)]) for i in drawn for s in "ab"]
        correlations.append(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
        kappas.append(kappa(counts(pairs)))
    assert found.srcc_interval is not None
    assert found.kappa_interval is not None
    for interval, values in ((found.srcc_interval, correlations), (found.kappa_interval, kappas)):
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
        assert interval.units == 12
