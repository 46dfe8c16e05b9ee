"""HACF, hint-aware consistency filtering: a rater that sees image, rationale and hints says whether they agree.

Raters are of two kinds: a model that is asked (``ModelRater``), or a rule on the ratings alone (``NearMos``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from zoom_iqa.base.equality import EQUAL_MOS, ROUNDING
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Finish, Message, Mos, Sample, TextPart
from zoom_iqa.curation.hints import hints_of, written_hints
from zoom_iqa.curation.texts import digest_of

_VERDICT = re.compile(r"<verdict>\s*(pass|fail)\s*</verdict>", re.IGNORECASE)
_SENTENCE = re.compile(r"<sentence\s+n=[\"']?(\d{1,6})[\"']?\s*>\s*(pass|fail)\s*</sentence>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n+")
SLOTS = ("{rationale}", "{hints}")


@dataclass(frozen=True, kw_only=True)
class RaterAnswer:
    """A rater's answer about a trajectory, as written; ``asked`` names the question, see ``ModelRater``."""

    dataset: str
    id: str
    sample: int
    text: str
    finish: Finish
    asked: str


@dataclass(frozen=True, kw_only=True)
class ModelRater:
    """Asks a model; ``prompt`` holds ``{rationale}`` and ``{hints}``.

    At ``sample`` level the answer is one ``<verdict>``; at ``sentence`` level sentences are numbered, each gets a
    ``<sentence n="1">``, and more than ``max_failed`` of them failed (a share) refuse the trajectory.

    Raises:
        ConfigError: a value is wrong, or the prompt lacks a slot.
    """

    level: Literal["sample", "sentence"]
    max_failed: float
    prompt: str

    def __post_init__(self) -> None:
        if self.level not in ("sample", "sentence"):
            raise ConfigError(f"hacf.level={self.level} must be sample or sentence")
        if not 0 <= self.max_failed < 1:
            raise ConfigError(f"hacf.max_failed={self.max_failed} must be at least 0 and below 1")
        for slot in SLOTS:
            if slot not in self.prompt:
                raise ConfigError(f"hacf.prompt has no {slot}; say where it goes")

    @property
    def asked(self) -> str:
        """A digest of the question without its trajectory: answers to another question decide nothing here."""
        return digest_of(f"{self.level}\n{self.prompt}")

    def asked_with(self, published: Collection[str]) -> str:
        """``asked`` where images have hints that were published under these names, in place of measured ones."""
        return digest_of(f"{self.asked}\n{sorted(published)}") if published else self.asked

    def messages(self, sample: Sample, rationale: str) -> tuple[Message, ...]:
        """The question about one trajectory: the image first."""
        shown = numbered(sentences(rationale)) if self.level == "sentence" else rationale
        text = self.prompt.replace("{hints}", written_hints(hints_of(sample.image, sample.example)))
        return (Message("user", (sample.images[0], TextPart(text.replace("{rationale}", shown)))),)

    def reason(self, answer: RaterAnswer, rationale: str) -> str | None:
        """Why the trajectory is refused; None if it passes. ``unrated`` where the answer holds no verdict."""
        if self.level == "sample":
            verdicts = _VERDICT.findall(answer.text)
            if len({verdict.lower() for verdict in verdicts}) != 1:
                return "unrated"
            return None if verdicts[0].lower() == "pass" else "contradiction"
        outcomes = {(int(number), verdict.lower()) for number, verdict in _SENTENCE.findall(answer.text)}
        expected = range(1, len(sentences(rationale)) + 1)
        if sorted(number for number, _ in outcomes) != list(expected):  # one twice has two verdicts
            return "unrated"
        failed = sum(verdict == "fail" for _, verdict in outcomes)
        return "contradiction" if failed > (self.max_failed + ROUNDING) * len(expected) else None


@runtime_checkable
class JudgesRecord(Protocol):
    """The protocol of a filter that asks no model, in place of a rater or beside it: the trajectory itself decides."""

    def reason_of(self, record: Record) -> str | None:
        """Why the trajectory is refused; None if it passes."""
        ...


@dataclass(frozen=True, kw_only=True)
class NearMos:
    """No rater at all: refuses a rating that lies more than ``tolerance`` from the mean opinion score.

    For a policy too small to judge a text. It says nothing of the words.

    Raises:
        ConfigError: ``tolerance`` is not above 0.
    """

    tolerance: float

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ConfigError(f"hacf.tolerance={self.tolerance} must be above 0")

    def reason_of(self, record: Record) -> str | None:
        """Why the trajectory is refused; None if it passes, or if people have not rated its image."""
        if not isinstance(record.example.target, Mos) or record.rating is None:
            return None
        return "contradiction" if abs(record.rating - record.example.mos) > self.tolerance + EQUAL_MOS else None


def sentences(text: str) -> list[str]:
    """Sentences of a text, a line's end being one's too."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece.strip()]


def numbered(pieces: Sequence[str]) -> str:
    """A numbered sentence a line."""
    return "\n".join(f"{number}. {piece}" for number, piece in enumerate(pieces, 1))


class RaterAnswerCodec:
    """Lines of ``hacf.jsonl``: a folder may hold answers to the questions of several raters."""

    def key(self, record: RaterAnswer) -> Hashable:
        """Data set, id, sample and question."""
        return record.dataset, record.id, record.sample, record.asked

    def encode(self, record: RaterAnswer) -> Mapping[str, Any]:
        """JSON-safe fields."""
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> RaterAnswer:
        """The record of a line."""
        return RaterAnswer(**{"asked": "", **fields})  # a line written before questions were named: asked for again
