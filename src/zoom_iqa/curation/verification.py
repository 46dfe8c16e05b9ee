"""VRF, visual-reliance filtering: an answer that comes out alike with and without the image does not rest on it.

The answer is asked for again twice: given the image and the beginning of the rationale, and given that beginning alone
(Zoom-IQA, arXiv 2601.02918, supplement).
"""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoom_iqa.base.equality import EQUAL_MOS, ROUNDING
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.regions import overlap
from zoom_iqa.base.types import Finish, Generation, ParseFailure, Reading, Region

TESTS = ("rating", "box", "entropy")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The reading of one answer: None for a rating that is unreadable, a box that is not asked for, and an entropy
    (mean over tokens, in nats) that the engine does not know.
    """

    rating: float | None
    bbox: Region | None
    entropy: float | None
    finish: Finish
    text: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The two answers about a trajectory."""

    dataset: str
    id: str
    sample: int
    with_image: Answer
    without_image: Answer


@dataclass(frozen=True, kw_only=True)
class VisualReliance:
    """The filter: a trajectory is refused when ``any`` or ``all`` of the tests find its two answers alike.

    Ratings are alike when they differ by less than ``rating``, boxes when their intersection over union is above
    ``iou``, entropies when their means differ by less than ``entropy`` nats. None leaves a test out. A test without its
    values (no box, no entropies) finds nothing; ``all`` asks for those that have values. Ratings of two decimals and
    boxes of one or two often lie exactly at a threshold, where rounding does not decide: they are not alike.

    Raises:
        ConfigError: a value is out of its range, or there is no test.
    """

    refuse_when: Literal["any", "all"]
    rating: float | None
    iou: float | None
    entropy: float | None

    def __post_init__(self) -> None:
        if self.refuse_when not in ("any", "all"):
            raise ConfigError(f"vrf.refuse_when={self.refuse_when} must be any or all")
        for name in ("rating", "iou", "entropy"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ConfigError(f"vrf.{name}={value} must be 0 or more, or null to leave the test out")
        if self.iou is not None and not self.iou < 1:
            raise ConfigError(f"vrf.iou={self.iou} must be below 1, the most that boxes overlap; null leaves it out")
        if self.rating is self.iou is self.entropy is None:
            raise ConfigError("vrf.rating, vrf.iou and vrf.entropy are null: give one, or vrf=none")

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that are not left out."""
        values = {"rating": self.rating, "box": self.iou, "entropy": self.entropy}
        return tuple(name for name in TESTS if values[name] is not None)

    def alike(self, found: Verification) -> dict[str, bool]:
        """The outcome of every test that has its values."""
        one, other = found.with_image, found.without_image
        outcomes: dict[str, bool] = {}
        if self.rating is not None and one.rating is not None and other.rating is not None:
            outcomes["rating"] = abs(one.rating - other.rating) < self.rating - EQUAL_MOS
        if self.iou is not None and one.bbox is not None and other.bbox is not None:
            outcomes["box"] = overlap(one.bbox, [other.bbox]) > self.iou + ROUNDING
        if self.entropy is not None and one.entropy is not None and other.entropy is not None:
            outcomes["entropy"] = abs(one.entropy - other.entropy) < self.entropy
        return outcomes

    def reason(self, found: Verification) -> str | None:
        """Why the trajectory is refused; None if it passes.

        One whose answer with the image cannot be read has not been verified, and is refused as ``unverified``.
        """
        if found.with_image.rating is None:
            return "unverified"
        outcomes = self.alike(found)
        alike = [name for name, is_alike in outcomes.items() if is_alike]
        refused = bool(alike) if self.refuse_when == "any" else bool(alike) and len(alike) == len(outcomes)
        return "alike_" + "_and_".join(alike) if refused else None


def answer_of(generation: Generation, reading: Reading) -> Answer:
    """The parts of an answer that VRF compares."""
    boxes = [call.bbox for call in reading.calls if call.bbox is not None]
    entropies: Sequence[float] = generation.entropies or ()
    return Answer(
        rating=None if isinstance(reading.rating, ParseFailure) else reading.rating,
        bbox=boxes[0] if boxes else None,
        entropy=statistics.fmean(entropies) if entropies else None,
        finish=generation.finish,
        text=generation.text,
    )


class VerificationCodec:
    """Lines of ``vrf.jsonl``: answers alone, so that other thresholds ask nothing again."""

    def key(self, record: Verification) -> Hashable:
        """Data set, id and sample."""
        return record.dataset, record.id, record.sample

    def encode(self, record: Verification) -> Mapping[str, Any]:
        """JSON-safe fields."""
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> Verification:
        """The record of a line."""
        return Verification(
            **{
                **fields,
                "with_image": _answer(fields["with_image"]),
                "without_image": _answer(fields["without_image"]),
            }
        )


def _answer(fields: Mapping[str, Any]) -> Answer:
    bbox = fields["bbox"]
    return Answer(**{**fields, "bbox": None if bbox is None else tuple(bbox)})
