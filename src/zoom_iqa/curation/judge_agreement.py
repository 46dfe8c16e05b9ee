"""How far two judges agree: over texts that both graded, controls left out, with intervals over images.

T texts, N = 9 grades.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoom_iqa.curation.judging import Judgement
from zoom_iqa.metrics.correlation import srcc
from zoom_iqa.metrics.intervals import Interval, bootstrap_interval, statistic_interval
from zoom_iqa.metrics.undefined import value_or_none, value_or_sentence
from zoom_iqa.tasks.grades import CRITERIA, HIGHEST, LOWEST

Text = tuple[str, str, str, str]
"""System, data set, id and a digest of the words."""
ByRepeat = Mapping[int, Mapping[str, int]]
_GRADES_N = np.arange(HIGHEST - LOWEST + 1)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Of two judges on one criterion over ``texts`` texts: their mean grades and how far they go together.

    ``srcc`` is Spearman's correlation of a text's means over repeats, ``kappa`` the quadratically weighted kappa of the
    grades that both gave a text in the same repeat. An undefined figure says why.
    """

    texts: int
    means: tuple[float, float]
    srcc: float | str
    srcc_interval: Interval | None
    kappa: float | str
    kappa_interval: Interval | None


def agreement(
    one: Sequence[Judgement], other: Sequence[Judgement], *, n_resamples: int, seed: int
) -> dict[str, Agreement]:
    """By criterion; empty where they share no text. Intervals draw images, all texts about one of them together."""
    firsts, seconds = _by_text(one), _by_text(other)
    texts = [text for text in firsts if text in seconds]
    if not texts:
        return {}
    images = [text[1:3] for text in texts]
    found: dict[str, Agreement] = {}
    for name in CRITERIA:
        x_T, y_T = (_means(graded, texts, name) for graded in (firsts, seconds))
        counts_TNN = np.stack([_counts(firsts[text], seconds[text], name) for text in texts])

        def kappa_of(rows: NDArray[np.int64], counts_TNN: NDArray[np.float64] = counts_TNN) -> float:
            value = kappa(counts_TNN[rows].sum(0))
            return float("nan") if value is None else value

        found[name] = Agreement(
            texts=len(texts),
            means=(float(x_T.mean()), float(y_T.mean())),
            srcc=value_or_sentence(srcc, x_T, y_T),
            srcc_interval=value_or_none(
                bootstrap_interval, x_T, y_T, metric="srcc", n_resamples=n_resamples, seed=seed, clusters=images
            ),
            kappa=_KAPPA_UNDEFINED if (value := kappa(counts_TNN.sum(0))) is None else value,
            kappa_interval=value_or_none(
                statistic_interval,
                "weighted kappa",
                kappa_of,
                len(texts),
                n_resamples=n_resamples,
                seed=seed,
                clusters=images,
            ),
        )
    return found


def kappa(counts_NN: NDArray[np.float64]) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968), of a table of how often one judge gave the row's grade of 1 to
    9 and the other the column's; None where chance agreement is perfect.
    """
    total = counts_NN.sum()
    if total == 0:
        return None
    weights_NN = (_GRADES_N[:, None] - _GRADES_N[None, :]) ** 2
    by_chance = float((weights_NN * np.outer(counts_NN.sum(1), counts_NN.sum(0)) / total).sum())
    return None if by_chance == 0 else 1 - float((weights_NN * counts_NN).sum()) / by_chance


_KAPPA_UNDEFINED = "weighted kappa is undefined: no grades in the same repeat, or all grades are equal"


def _by_text(judgements: Sequence[Judgement]) -> dict[Text, dict[int, Mapping[str, int]]]:
    found: dict[Text, dict[int, Mapping[str, int]]] = {}
    for one in judgements:
        grades = one.grades
        if one.control is None and not isinstance(grades, str):
            found.setdefault((one.system, one.dataset, one.id, one.about), {})[one.repeat] = grades
    return found


def _means(graded: Mapping[Text, ByRepeat], texts: Sequence[Text], name: str) -> NDArray[np.float64]:
    return np.array([statistics.fmean(grades[name] for grades in graded[text].values()) for text in texts])


def _counts(one: ByRepeat, other: ByRepeat, name: str) -> NDArray[np.float64]:
    return _table([(grades[name], other[repeat][name]) for repeat, grades in one.items() if repeat in other])


def _table(pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    counts_NN = np.zeros((len(_GRADES_N), len(_GRADES_N)))
    for first, second in pairs:
        counts_NN[first - LOWEST, second - LOWEST] += 1
    return counts_NN
