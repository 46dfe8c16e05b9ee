"""Whether an output meets every requirement of its turn's format (the format reward and the valid-format rate)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zoom_iqa.tasks.answer import TOOLS, AnswerObject
from zoom_iqa.tasks.lenient_json import Pairs, WrittenNumber

ANSWER_KEYS = frozenset({"bbox_2d", "rating", "tool"})

_THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
RATING_FORM = re.compile(r"[1-4]\.[0-9]{2}|5\.00")
"""A rating as the prompts ask for it: 1.00 to 5.00."""


@dataclass(frozen=True)
class FormatReport:
    """Each requirement of one turn's format by name, and whether it holds."""

    requirements: tuple[tuple[str, bool], ...]

    @property
    def ok(self) -> bool:
        """Whether all of them hold."""
        return all(holds for _, holds in self.requirements)


def format_report(answer: AnswerObject, *, sections: Sequence[str], final_only: bool) -> FormatReport:
    """Check an output against the format of its turn; ``final_only`` is the second turn's rule.

    Requirements, in order: ``one_think`` and ``one_answer`` (each tag pair exactly once), ``only_tags`` (think, then
    answer, nothing but white space around them), ``sections_in_order`` (each label once, at the start of a line, the
    first one at the start of the thought), ``sections_filled``, ``json``, ``keys`` (exactly the three, once each),
    ``rating`` (1.00 to 5.00, two decimals), ``tool`` (crop or final; only final when ``final_only``), ``bbox`` (zeros
    when final; otherwise fractions with x1 < x2 and y1 < y2). A requirement that cannot be checked does not hold.
    """
    text = answer.text
    think, tagged = _THINK.search(text), _ANSWER.search(text)
    once = [text.count(tag) == 1 for tag in _TAGS]
    one_think = once[0] and once[1] and think is not None
    one_answer = once[2] and once[3] and tagged is not None
    paragraphs = _split_sections(think.group(1), sections) if think else None
    pairs: Pairs | None = answer.pairs
    values = dict(pairs or ())
    tool, rating = values.get("tool"), values.get("rating")
    return FormatReport(
        requirements=(
            ("one_think", one_think),
            ("one_answer", one_answer),
            (
                "only_tags",
                one_think
                and one_answer
                and _THINK.sub("", _ANSWER.sub("\0", text)).strip() == "\0"
                and text.index("<think>") < text.index("<answer>"),
            ),
            ("sections_in_order", paragraphs is not None),
            ("sections_filled", paragraphs is not None and all(paragraphs)),
            ("json", pairs is not None and tagged is not None and _is_bare(tagged.group(1), answer)),
            ("keys", pairs is not None and len(pairs) == len(ANSWER_KEYS) and values.keys() == ANSWER_KEYS),
            ("rating", isinstance(rating, WrittenNumber) and RATING_FORM.fullmatch(rating) is not None),
            ("tool", tool == "final" if final_only else tool in TOOLS),
            ("bbox", _box_fits(values.get("bbox_2d"), is_final=final_only or tool == "final")),
        )
    )


def paragraphs(text: str, sections: Sequence[str]) -> dict[str, str]:
    """The labelled paragraphs that can be found before the answer, by label; no format is asked for beyond labels.

    A label counts where it first stands at the start of a line; its paragraph ends at the next one.
    """
    thought = re.split(r"</think>|<answer>", text, maxsplit=1)[0].replace("<think>", "")
    found = {name: match for name in sections if (match := re.search(_label(name), thought, re.MULTILINE))}
    starts = sorted(match.start() for match in found.values())
    ends = dict(pairwise([*starts, len(thought)]))
    texts = {name: thought[match.end() : ends[match.start()]].strip() for name, match in found.items()}
    return {name: written for name, written in texts.items() if written}


def _label(name: str) -> str:
    """A label may carry a number before it and a remark in brackets after it, as prompts list them."""
    return rf"^[ \t]*(?:\d[.)][ \t]*)?{re.escape(name)}[ \t]*(?:\([^)\n]*\))?[ \t]*:"


def _is_bare(tagged: str, answer: AnswerObject) -> bool:
    """Whether the object stands in its tags alone, without a fence."""
    return answer.span is not None and tagged.strip() == answer.text[slice(*answer.span)]


def _split_sections(thought: str, sections: Sequence[str]) -> list[str] | None:
    """The text of each section; None unless every label stands once, in order, with nothing before the first."""
    ends, starts = [], []
    for name in sections:
        found = list(re.finditer(_label(name), thought, re.MULTILINE))
        if len(found) != 1:
            return None
        starts.append(found[0].start())
        ends.append(found[0].end())
    if starts != sorted(starts) or thought[: starts[0]].strip():
        return None
    return [thought[end:start].strip() for end, start in zip(ends, [*starts[1:], len(thought)], strict=True)]


def _box_fits(box: Any, *, is_final: bool) -> bool:
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, WrittenNumber) for value in box):
        return False
    x1, y1, x2, y2 = (float(value) for value in box)
    if is_final:
        return x1 == y1 == x2 == y2 == 0
    return 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
