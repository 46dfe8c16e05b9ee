"""A judge of reasoning, after Table 7 of Zoom-IQA (arXiv 2601.02918): four criteria, each graded 1 to 9.

The judge sees the image first, then measured hints, then the text; it learns neither the system that wrote it nor the
rating of others. A text of several turns is judged by its conclusion. An answer that cannot be read has a typed
outcome and never a number.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Finish, Message, Sample, TextPart
from zoom_iqa.curation.hints import hints_of, written_hints
from zoom_iqa.curation.texts import thought_of

CRITERIA = ("accuracy", "reasonableness", "completeness", "confidence")
"""In the order of the published table."""
LOWEST, HIGHEST = 1, 9
Control = Literal["swapped", "template", "opposite"]
CONTROLS: tuple[Control, ...] = ("swapped", "template", "opposite")
SLOTS = ("{hints}", "{text}")
Failure = Literal["failed", "refused", "length", "missing_criterion", "grade_out_of_range"]
_GRADE = {name: re.compile(rf"<{name}>\s*([^<>]*?)\s*</{name}>", re.IGNORECASE) for name in CRITERIA}
_WHOLE = re.compile(r"[0-9]+")


@dataclass(frozen=True, kw_only=True)
class JudgePrompt:
    """The question; ``text`` holds ``{hints}`` and ``{text}``, and asks for a tag of each criterion.

    ``template`` is a text that fits any image, and ``opposite`` two that judge the other way: of images that people
    find good, and of images that they find bad. They are controls: a judge worth trusting grades them lower.

    Raises:
        ConfigError: a slot or a criterion's tag is missing.
    """

    text: str
    template: str
    opposite_of_good: str
    opposite_of_bad: str

    def __post_init__(self) -> None:
        for slot in SLOTS:
            if slot not in self.text:
                raise ConfigError(f"prompt.text has no {slot}; say where it goes")
        for name in CRITERIA:
            if f"<{name}>" not in self.text:
                raise ConfigError(f"prompt.text asks for no <{name}>; every criterion has a tag of its name")

    def messages(self, sample: Sample, judged: str) -> tuple[Message, ...]:
        """The question about one text."""
        asked = self.text.replace("{hints}", written_hints(hints_of(sample.image, sample.example)))
        return (Message("user", (sample.images[0], TextPart(asked.replace("{text}", judged)))),)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A judge's answer about one text, as written. ``control`` says what the text was in place of the system's own."""

    system: str
    dataset: str
    id: str
    control: Control | None
    repeat: int
    text: str
    finish: Finish

    @property
    def grades(self) -> Mapping[str, int] | Failure:
        """The grades by criterion, or why there are none."""
        return read_grades(self.text, self.finish)


def read_grades(text: str, finish: Finish) -> Mapping[str, int] | Failure:
    """A whole number from 1 to 9 of every criterion, each in its tag exactly once; or why they cannot be had."""
    if finish != "stop":
        return finish
    grades: dict[str, int] = {}
    for name, tag in _GRADE.items():
        found = tag.findall(text)
        if len(found) != 1 or not _WHOLE.fullmatch(found[0]):
            return "missing_criterion"
        if not LOWEST <= int(found[0]) <= HIGHEST:
            return "grade_out_of_range"
        grades[name] = int(found[0])
    return grades


def conclusion_of(record: Record) -> str:
    """The last turn's thought, or all of its text where there is none."""
    text = record.steps[-1].text
    return thought_of(text) or text.strip()


class JudgementCodec:
    """Lines of ``judgements.jsonl``."""

    def key(self, record: Judgement) -> Hashable:
        """All but the answer."""
        return record.system, record.dataset, record.id, record.control, record.repeat

    def encode(self, record: Judgement) -> Mapping[str, Any]:
        """JSON-safe fields."""
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> Judgement:
        """The record of a line."""
        return Judgement(**fields)
