"""A judge of reasoning, after Table 7 of Zoom-IQA (arXiv 2601.02918): four criteria, each graded 1 to 9.

The judge sees the image first, then measured hints, then the text; it learns neither the system that wrote it nor the
rating of others. A text of several turns is judged by its conclusion.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Finish, Message, Sample, TextPart
from zoom_iqa.curation.hints import hints_of, written_hints
from zoom_iqa.curation.texts import thought_of
from zoom_iqa.tasks.grades import CRITERIA, GradeFailure, read_grades

Control = Literal["swapped", "template", "opposite"]
CONTROLS: tuple[Control, ...] = ("swapped", "template", "opposite")
SLOTS = ("{hints}", "{text}")


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
    """A judge's answer about one text, as written. ``control`` says what the text was in place of the system's own.

    ``about`` is a digest of the words that were graded: predictions may change under a name, and grades of other words
    are none of them.
    """

    system: str
    dataset: str
    id: str
    control: Control | None
    repeat: int
    about: str
    text: str
    finish: Finish

    @property
    def grades(self) -> Mapping[str, int] | GradeFailure:
        """The grades by criterion, or why there are none."""
        return read_grades(self.text, self.finish)


def conclusion_of(record: Record) -> str:
    """The conclusion of its last turn."""
    return conclusion(record.steps[-1].text)


def conclusion(text: str) -> str:
    """The thought of a turn, or all of its text where there is none."""
    return thought_of(text) or text.strip()


class JudgementCodec:
    """Lines of ``judgements.jsonl``."""

    def key(self, record: Judgement) -> Hashable:
        """All but the answer."""
        return record.system, record.dataset, record.id, record.control, record.repeat, record.about

    def encode(self, record: Judgement) -> Mapping[str, Any]:
        """JSON-safe fields."""
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> Judgement:
        """The record of a line."""
        return Judgement(**{"about": "", **fields})  # a line written before words were named: asked for again
