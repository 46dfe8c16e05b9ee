"""ROUGE-1 between a text and what people wrote: the share of words in common, counted by Google's ``rouge-score``.

Words are runs of a-z and 0-9 in lower case, without stemming, as H-IQA (arXiv 2512.16484) counts them. Precision is the
share of the text's words that the reference has (short texts do well), recall the share of the reference's words that
the text has (long ones do), F1 their harmonic mean. Without a word on either side all three are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

RougeMeasure = Literal["precision", "recall", "f1"]


class Rouge(NamedTuple):
    """Precision, recall and F1, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def rouge1(text: str, reference: str) -> Rouge:
    """ROUGE-1 of a text against one reference (Lin 2004)."""
    found = _scorer().score(reference, text)["rouge1"]
    return Rouge(float(found.precision), float(found.recall), float(found.fmeasure))


def best_rouge1(text: str, references: Sequence[str]) -> Rouge:
    """ROUGE-1 against the reference with the highest F1.

    Raises:
        ValueError: there is no reference.
    """
    return max((rouge1(text, reference) for reference in references), key=lambda found: found.f1)


def agreement(references: Sequence[str]) -> tuple[Rouge, ...]:
    """Each person's text against the best of the others': how near people come to one another; none of fewer than 2."""
    if len(references) < 2:
        return ()
    others = [[*references[:n], *references[n + 1 :]] for n in range(len(references))]
    return tuple(best_rouge1(text, rest) for text, rest in zip(references, others, strict=True))


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # brings nltk, a second of loading

    return RougeScorer(["rouge1"])
