"""Frozen records that travel between the parts: image -> prompt -> generation -> turn -> rollout -> group.

Nothing here computes; nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from zoom_iqa.base.errors import FailureReason
from zoom_iqa.base.sampling import SamplingParams

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""Pixel box (x1, y1, x2, y2); x2 and y2 are exclusive."""

Tool = Literal["crop", "final"]
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, kw_only=True)
class ImageItem:
    """One labelled image of a data set, without its pixels.

    ``mos`` is on 1-5 (5 best), ``mos_std`` on the same scale where it is known. ``path`` is the file, or None for
    an image that is made on the fly. ``reference_id`` names the pristine source for reference-based sets.
    """

    id: str
    dataset: str
    mos: float
    mos_std: float | None = None
    path: str | None = None
    reference_id: str | None = None
    split: str | None = None
    native_mos: float | None = None


@dataclass(frozen=True, eq=False)
class ImageSample:
    """A labelled image with its pixels (RGB, 8 bit)."""

    item: ImageItem
    image: Image


@dataclass(frozen=True)
class TextPart:
    """Text inside a chat message."""

    text: str


@dataclass(frozen=True, eq=False)
class ImagePart:
    """An image inside a chat message; equal ``key`` means equal pixels, so features may be shared."""

    image: Image
    key: str


@dataclass(frozen=True, eq=False)
class Message:
    """One chat message."""

    role: Role
    parts: tuple[TextPart | ImagePart, ...]


@dataclass(frozen=True)
class Answer:
    """A fully parsed answer. ``bbox`` is kept as written (fractions or pixels)."""

    bbox: tuple[float, float, float, float]
    rating: float
    tool: Tool

    @property
    def wants_crop(self) -> bool:
        """A crop is asked for unless the tool is final or every coordinate is zero."""
        return self.tool != "final" and any(c != 0 for c in self.bbox)


@dataclass(frozen=True)
class ParseFailure:
    """A typed outcome in place of a value: why a text could not be read."""

    reason: FailureReason
    detail: str


@dataclass(frozen=True, eq=False)
class GenerationRequest:
    """What a session asks an engine for.

    Equal ``prompt_key`` means an identical prompt, so an engine may prefill it once. ``seed`` fixes the sampling of
    this request alone, whatever else is in the batch. ``sampling`` None leaves how tokens are drawn to the engine.
    """

    key: str
    prompt_key: str
    prompt: tuple[Message, ...]
    seed: int
    sampling: SamplingParams | None = None


@dataclass(frozen=True)
class Generation:
    """What an engine returns: the sampled tokens (end token included) and the log-probability of each when sampled.

    ``logprobs`` and ``entropies`` are in nats, one per token, of the distribution actually sampled from.
    ``text`` is decoded without special tokens.
    """

    key: str
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    finish: Literal["stop", "length"]


@dataclass(frozen=True, eq=False)
class Turn:
    """One prompt and what came back. ``answer`` is the strict routing parse; ``box`` the crop it led to."""

    prompt: tuple[Message, ...]
    prompt_key: str
    generation: Generation
    answer: Answer | ParseFailure
    rating: float | ParseFailure
    well_formed: bool
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class Rollout:
    """One trajectory over an image: one turn, or two with a crop between them."""

    item: ImageItem
    index: int
    turns: tuple[Turn, ...]
    routing_warning: FailureReason | None = None

    @property
    def rating(self) -> float | ParseFailure:
        """The rating that counts: the last turn's, on 1-5, or why there is none."""
        return self.turns[-1].rating

    @property
    def cropped(self) -> bool:
        """Whether the trajectory looked closer."""
        return len(self.turns) > 1

    @property
    def well_formed(self) -> bool:
        """Whether every turn met every requirement of its format."""
        return all(turn.well_formed for turn in self.turns)


@dataclass(frozen=True, eq=False)
class RolloutGroup:
    """The G rollouts of one image."""

    item: ImageItem
    rollouts: tuple[Rollout, ...] = field(default_factory=tuple)
