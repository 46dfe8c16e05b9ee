"""A filter that needs a signal of its own: it keeps tokens that depend on the images, which a view of the prompt hides.

Beside it the same by loops through transformers' own forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import torch
from PIL import Image
from torch import Tensor

from support.naive_update import distributions, rollouts, start_policy
from zoom_iqa.base.types import ImagePart, Message
from zoom_iqa.objectives.filters.base import TokenFilter
from zoom_iqa.objectives.signals import SAMPLED, Signal
from zoom_iqa.objectives.token_batch import TokenBatch
from zoom_iqa.objectives.views import BlankImage, View
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.policy.packing import PromptCompletion

BLANK = "blank"
HIDDEN = Signal("policy", view=BLANK)


class DependentTokens(TokenFilter):
    """Keeps tokens whose e^d - d - 1 is above ``level``, d the log-probability without the images minus that with."""

    signals = frozenset({HIDDEN})
    views: Mapping[str, View] = MappingProxyType({BLANK: BlankImage()})

    def __init__(self, level: float) -> None:
        self._level = level

    def keep(
        self, tokens: TokenBatch, *, step: int, mini_batch: int, reducer: Reducer
    ) -> tuple[Tensor, Mapping[str, float]]:
        d_M = tokens.signal(HIDDEN.name) - tokens.signal(SAMPLED)
        keep_M = d_M.exp() - d_M - 1 > self._level
        return keep_M, {"kept": keep_M.double().mean().item()}


def blinded(prompt: Sequence[Message]) -> tuple[Message, ...]:
    """The prompt with grey in place of its images."""

    def part(one: object) -> object:
        if not isinstance(one, ImagePart):
            return one
        return ImagePart(Image.new("RGB", one.image.size, (128, 128, 128)), f"grey of {one.key}")

    return tuple(replace(message, parts=tuple(part(one) for one in message.parts)) for message in prompt)


@cache
def blinded_sequences() -> tuple[PromptCompletion, ...]:
    """One for each generation, as a token table holds a view."""
    policy = start_policy()
    steps = [step for group in rollouts() for rollout in group.rollouts for step in rollout.steps]
    return tuple(
        PromptCompletion(
            policy.encode(blinded(step.request.prompt)),
            f"{step.request.prompt_key} hidden",
            torch.tensor(step.generation.token_ids),
        )
        for step in steps
    )


@cache
def naive_dependency() -> Tensor:
    """e^d - d - 1 of every generated token, one generation at a time."""
    found: list[float] = []
    with torch.no_grad():
        for rollout in [rollout for group in rollouts() for rollout in group.rollouts]:
            for step in rollout.steps:
                ids = step.generation.token_ids
                rows = distributions(start_policy(), blinded(step.request.prompt), ids)
                for row, token in enumerate(ids):
                    d = rows[row, token] - step.generation.logprobs[row]
                    found.append((d.exp() - d - 1).item())
    return torch.tensor(found)


def threshold() -> float:
    """In the widest gap of the middle half, so that rounding moves no token across it."""
    values = naive_dependency().sort().values
    middle = values[len(values) // 4 : 3 * len(values) // 4]
    widest = int(middle.diff().argmax())
    return ((middle[widest] + middle[widest + 1]) / 2).item()


def naive_dependent(level: float) -> Tensor:
    return naive_dependency() > level
