"""Figures of how like a policy's words are to what people wrote, and how like people are to one another (ROUGE-1).

The text compared is all that the last turn says, as H-IQA's reward (arXiv 2512.16484) compares it; its length stands
beside, as precision favours short texts and recall long ones.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from zoom_iqa.base.records import Record
from zoom_iqa.metrics.rouge import Rouge, agreement, best_rouge1, rouge1

Figures = dict[str, Any]


def likeness_figures(records: Sequence[Record]) -> Figures:
    """Means over trajectories about images with a text of people's; none where no image has one.

    ``rouge1`` is against all that people wrote as one text, ``rouge1_best`` against the nearest of several persons by
    F1, and ``rouge1_people`` is each person against the nearest of the others, averaged over the persons of an image
    and then over images: the ceiling.
    """
    about = [record for record in records if record.example.human_text is not None]
    if not about:
        return {}
    texts = {record.image_key: record.example.references for record in about}
    several = [record for record in about if len(record.example.references) > 1]
    one = [rouge1(record.steps[-1].text, record.example.human_text or "") for record in about]
    best = [best_rouge1(record.steps[-1].text, record.example.references) for record in several]
    people = [Rouge(**means(found)) for references in texts.values() if (found := agreement(references))]
    return {
        "n_human_text": len(texts),
        "n_human_texts": len({record.image_key for record in several}),
        "words": statistics.fmean(len(record.steps[-1].text.split()) for record in about),
        "rouge1": means(one),
        **({"rouge1_best": means(best), "rouge1_people": means(people)} if best else {}),
    }


def means(found: Sequence[Rouge]) -> Mapping[str, float]:
    """Mean precision, recall and F1."""
    return {name: statistics.fmean(getattr(one, name) for one in found) for name in Rouge._fields}
