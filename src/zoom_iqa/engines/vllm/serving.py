"""A served model: it takes weights, prompts with image features, and returns what it completes.

Legend: M merged image tokens, H hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from zoom_iqa.base.errors import ConfigError, SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.policy.encoding import EncodedPrompt

TOWER = "model.visual."
"""How the names of the vision tower's weights begin."""


class OtherWeightsError(SessionError):
    """A shared model holds the weights of another trainer: push again, then ask again."""


@dataclass(frozen=True, eq=False)
class ServedImage:
    """One image of a prompt: its content's key, ``grid`` in patches, first token and the one after its last."""

    key: str
    grid: tuple[int, int, int]
    span: tuple[int, int]
    features_MH: Tensor


@dataclass(frozen=True, eq=False)
class ServedRequest:
    """One prompt, with the rule and the seed its completion is drawn by."""

    key: str
    ids: list[int]
    images: tuple[ServedImage, ...]
    sampling: SamplingParams
    seed: int

    @staticmethod
    def of(
        key: str, prompt: EncodedPrompt, features: Sequence[Tensor], *, sampling: SamplingParams, seed: int
    ) -> ServedRequest:
        """Of an encoded prompt; ``features`` are those of its images in order."""
        images = tuple(
            ServedImage(image.key, image.grid, span, states_MH)
            for image, span, states_MH in zip(prompt.images, prompt.image_spans, features, strict=True)
        )
        return ServedRequest(key, prompt.ids_L.tolist(), images, sampling, seed)


@dataclass(frozen=True, eq=False)
class Completion:
    """The tokens of a request with log-probabilities and entropies in nats, and why they end: a stop, or the limit."""

    key: str
    prompt_ids: list[int]
    ids: list[int]
    logprobs: tuple[float, ...]
    entropies: tuple[float, ...]
    stopped: bool
    cached_tokens: int


class Served(Protocol):
    """A language model of the policy's shape, which has no weights until some are pushed.

    ``holder`` is the engine that pushed last.
    """

    holder: object | None

    @property
    def busy(self) -> bool:
        """Whether requests are unfinished."""
        ...

    def push(self, named: Mapping[str, Tensor]) -> None:
        """Take the language model's weights by transformers' names, and forget what older ones have made."""
        ...

    def add(self, request: ServedRequest) -> None:
        """Queue a request; ConfigError when it is longer than the model served takes."""
        ...

    def step(self) -> list[Completion]:
        """Go on with requests that run; those that are complete."""
        ...

    def sleep(self) -> bool:
        """Give back what is not needed until the next push: whether weights have gone with it."""
        ...

    def wake(self) -> None:
        """Take back what ``sleep`` gave."""
        ...


def of_language(named: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The weights without the tower's: a served model takes features of images."""
    return ((name, weight) for name, weight in named.items() if not name.startswith(TOWER))


def require_fitting(request: ServedRequest, *, context_tokens: int) -> None:
    """Pass a request that the model served can take.

    Raises:
        ConfigError: prompt and completion at its limit exceed ``context_tokens``.
    """
    new = request.sampling.max_new_tokens
    if len(request.ids) + new > context_tokens:
        raise ConfigError(
            f"{request.key}: {len(request.ids)} prompt tokens and {new} new ones exceed "
            f"rollout.context_tokens={context_tokens}; lower max_new_tokens, or raise it if the policy allows"
        )
