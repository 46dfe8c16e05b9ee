"""Frozen records that travel between the parts: example -> sample -> request -> generation -> step -> rollout -> group.

Nothing here computes more than a digest; nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from zoom_iqa.base.errors import ConfigError, DataError, FailureReason
from zoom_iqa.base.indicators import Indicator
from zoom_iqa.base.judgements import Evidence
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.stepwise import Stepwise
from zoom_iqa.base.targets import CHOICES
from zoom_iqa.base.targets import Choice as Choice
from zoom_iqa.base.targets import Mos as Mos
from zoom_iqa.base.targets import Preference as Preference

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""Pixel box (x1, y1, x2, y2); x2 and y2 are exclusive."""

Region = tuple[float, float, float, float]
"""(x1, y1, x2, y2) as fractions of width and height."""

Span = tuple[int, int]
"""Character positions (start, end) in a text; end is exclusive."""

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "refused", "failed"]


@dataclass(frozen=True, kw_only=True)
class ImageRef:
    """The source of an image's pixels: a file, or None for one made on the fly; ``view`` names a part or variant."""

    path: str | None = None
    view: str | None = None


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The known defect of an image that was made.

    ``distortion`` is its name or None for a pristine image, ``level`` its severity on 1-5, ``region`` where it is, or
    None where it is everywhere.
    """

    distortion: str | None
    level: float
    region: Region | None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One entry of a data set, without pixels.

    ``target`` is what people said of it, if they did; ``references`` are texts people wrote about it, one a person, and
    ``summary`` is one text of what they wrote, where somebody has made it; ``reference_id`` names the pristine source
    for reference-based sets; ``truth`` is there where the defect is known; records leave ``indicators`` out.
    """

    id: str
    dataset: str
    images: tuple[ImageRef, ...] = (ImageRef(),)
    target: Mos | Preference | None = None
    references: tuple[str, ...] = ()
    summary: str | None = None
    split: str | None = None
    reference_id: str | None = None
    truth: Truth | None = None
    indicators: tuple[Indicator, ...] = ()

    @property
    def name(self) -> str:
        """Data set and id, as messages and keys show it."""
        return f"{self.dataset}:{self.id}"

    @property
    def key(self) -> tuple[str, str]:
        """Data set and id, which no other example shares."""
        return self.dataset, self.id

    @property
    def path(self) -> str | None:
        """The file of its first image, or None for one made on the fly."""
        return self.images[0].path

    @property
    def human_text(self) -> str | None:
        """All that people wrote about it as one text: the summary where there is one, else the references joined."""
        return self.summary or " ".join(self.references) or None

    @property
    def mos(self) -> float:
        """The mean opinion score on 1-5.

        Raises:
            DataError: it has none.
        """
        return self._score.mean

    @property
    def mos_std(self) -> float | None:
        """The standard deviation of the opinion scores, where it is known.

        Raises:
            DataError: it has no opinion score.
        """
        return self._score.std

    @property
    def _score(self) -> Mos:
        if not isinstance(self.target, Mos):
            raise DataError(f"{self.name} has no mean opinion score; use labels with one, or a reward without it")
        return self.target


def rated_example(
    *,
    id: str,
    dataset: str,
    mos: float,
    mos_std: float | None = None,
    native_mos: float | None = None,
    mos_clipped: bool = False,
    path: str | None = None,
    split: str | None = None,
    reference_id: str | None = None,
) -> Example:
    """An example of one image with its mean opinion score."""
    return Example(
        id=id,
        dataset=dataset,
        images=(ImageRef(path=path),),
        target=Mos(mean=mos, std=mos_std, native=native_mos, clipped=mos_clipped),
        split=split,
        reference_id=reference_id,
    )


@dataclass(frozen=True)
class TextPart:
    """Text inside a chat message."""

    text: str


@dataclass(frozen=True, eq=False)
class ImagePart:
    """An image inside a chat message; equal ``key`` means equal pixels, so features may be shared."""

    image: Image
    key: str

    @staticmethod
    def of(image: Image) -> ImagePart:
        """The image under a digest of its pixels."""
        digest = hashlib.blake2b(repr((image.mode, image.size)).encode(), digest_size=16)
        digest.update(image.tobytes())
        return ImagePart(image, digest.hexdigest())


@dataclass(frozen=True, eq=False)
class Message:
    """One chat message."""

    role: Role
    parts: tuple[TextPart | ImagePart, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """An example with the pixels of its images (RGB, 8 bit), in their order."""

    example: Example
    images: tuple[ImagePart, ...]

    @staticmethod
    def of(example: Example, *images: Image) -> Sample:
        """A sample whose images are keyed by their pixels."""
        return Sample(example, tuple(ImagePart.of(image) for image in images))

    @property
    def image(self) -> Image:
        """The pixels of its first image."""
        return self.images[0].image


@dataclass(frozen=True)
class ParseFailure:
    """A typed outcome in place of a value: why a text could not be read."""

    reason: FailureReason
    detail: str


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool that a text asks for, by name. ``bbox`` is kept as written (fractions or pixels).

    ``look_for`` is the reason given; ``problem`` says why the call cannot be served as it is written.
    """

    tool: str
    bbox: tuple[float, float, float, float] | None = None
    look_for: str | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """The outcome of a tool call: the pixel box shown, the same as fractions of the image, or why it was refused."""

    box: Box | None = None
    region: Region | None = None
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All that a task reads from one text, once.

    ``values`` are what it judges, by name: ``rating`` on 1-5 and, where that was clipped, the ``written_rating``; or
    the ``choice`` between two images. ``failure`` says why the value that counts is missing. ``calls`` are the tools
    asked for; ``call_failure`` says why it is not known whether any are. ``evidence`` is what the judgement is said to
    rest on, None where the text lists none. ``spans`` are places in the text by name: ``numbers`` for digits inside the
    answer, ``rating`` for those of the rating, ``decided`` for the rating's where the text first writes it.
    """

    values: Mapping[str, float | str] = field(default_factory=dict)
    calls: tuple[ToolCall, ...] = ()
    well_formed: bool
    failure: ParseFailure | None = None
    call_failure: ParseFailure | None = None
    evidence: tuple[Evidence, ...] | None = None
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)

    @property
    def rating(self) -> float | ParseFailure:
        """The rating on 1-5, or why there is none."""
        value = self.values.get("rating")
        if isinstance(value, float | int) and not isinstance(value, bool):
            return float(value)
        return self.failure or ParseFailure("bad_rating", "the task reads no rating")

    @property
    def choice(self) -> Choice | None:
        """The image preferred, of two; None where none can be read."""
        return next((choice for choice in CHOICES if choice == self.values.get("choice")), None)

    @property
    def judgement(self) -> float | Choice | ParseFailure:
        """The value that counts, a rating or a choice, or why there is none."""
        return self.rating if self.choice is None else self.choice

    @property
    def clipped(self) -> bool:
        """Whether the rating was written off the scale."""
        return "written_rating" in self.values


class Ending(StrEnum):
    """Why a trajectory has ended; ``no_answer`` is one that could not begin: its image cannot be shown or scored."""

    FINAL = "final"
    TURN_LIMIT = "turn_limit"
    LENGTH = "length"
    NO_ANSWER = "no_answer"
    MISSING_ANSWER = "missing_answer"
    MALFORMED_JSON = "malformed_json"
    BAD_RATING = "bad_rating"
    BAD_BBOX = "bad_bbox"
    BAD_TOOL = "bad_tool"
    UNVIEWABLE = "unviewable"

    @property
    def failure(self) -> FailureReason | None:
        """Why the last text could not be read, or its crop not be shown, where that ended the trajectory."""
        unforced = (Ending.FINAL, Ending.TURN_LIMIT, Ending.LENGTH, Ending.NO_ANSWER)
        return None if self in unforced else self.value


@dataclass(frozen=True, eq=False)
class Request:
    """A prompt that a session wants a speaker to answer.

    ``key`` is unique among the requests of a batch. Equal ``prompt_key`` means an identical prompt, so an engine may
    prefill it once. ``seed`` fixes the sampling of this request alone, whatever else is in the batch; ``sampling`` None
    leaves the rule by which tokens are drawn to the engine.
    """

    key: str
    prompt_key: str
    prompt: tuple[Message, ...]
    seed: int
    speaker: str = "policy"
    sampling: SamplingParams | None = None

    def sampled_by(self, default: SamplingParams) -> SamplingParams:
        """The rule by which its tokens are drawn: its own, or else the engine's."""
        return default if self.sampling is None else self.sampling


class SampledTokens(NamedTuple):
    """Tokens drawn, end token included; log-probabilities and entropies in nats of the distribution sampled from."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]


@dataclass(frozen=True)
class Generation:
    """The answer of an engine. ``text`` is decoded without special tokens.

    ``finish`` says why it ends: complete, at its limit, refused by the one who was asked, or without an answer that
    could be used, after every attempt. ``token_ids``, ``logprobs`` and ``entropies`` are None where an engine does not
    know them (over an API); ``sampled`` has all three. ``prompt`` is the engine's encoding of the request's prompt, so
    that learning from the generation need not make it again.
    """

    key: str
    text: str
    token_ids: tuple[int, ...] | None
    logprobs: tuple[float, ...] | None
    entropies: tuple[float, ...] | None
    finish: Finish
    prompt: object | None = field(default=None, compare=False, repr=False)

    @property
    def sampled(self) -> SampledTokens:
        """The tokens with the numbers that training needs.

        Raises:
            ConfigError: the engine does not know it, or has not one number for each token.
        """
        if self.token_ids is None or self.logprobs is None or self.entropies is None:
            missing = [name for name in ("token_ids", "logprobs", "entropies") if getattr(self, name) is None]
            said = f"{self.key}: its engine gave no {', '.join(missing)}, which training needs; sample from the policy "
            raise ConfigError(f"{said}itself with rollout=native or rollout=transformers")
        if not len(self.token_ids) == len(self.logprobs) == len(self.entropies):
            raise ConfigError(f"{self.key}: its engine must give as many logprobs and entropies as token_ids")
        return SampledTokens(self.token_ids, self.logprobs, self.entropies)


@dataclass(frozen=True, eq=False)
class Step:
    """One request, what came back, what the task reads from it and what its tool calls led to."""

    request: Request
    generation: Generation
    reading: Reading
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, eq=False)
class Rollout(Stepwise):
    """One trajectory over an example; ``probes`` are what was asked about it afterwards, by the probe's name."""

    example: Example
    index: int
    steps: tuple[Step, ...]
    ending: Ending
    probes: Mapping[str, tuple[Rollout, ...]] = field(default_factory=dict)

    @property
    def rating(self) -> float | ParseFailure:
        """The rating that counts: the last step's, on 1-5, or why there is none."""
        return self.steps[-1].reading.rating

    @property
    def judgement(self) -> float | Choice | ParseFailure:
        """The last step's rating or choice, or why there is none."""
        return self.steps[-1].reading.judgement


@dataclass(frozen=True, eq=False)
class RolloutGroup:
    """The G rollouts of one example."""

    example: Example
    rollouts: tuple[Rollout, ...] = field(default_factory=tuple)
