"""The protocols of a task: a sample becomes a conversation, and each text of it is read.

A session asks for generations and never makes them:

    session = task.open(sample, index=0, seed=1)
    while (request := session.next_request()) is not None:
        session.submit(engine.generate(request))
    rollout = session.rollout()
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import Example, Generation, Message, Request, Rollout, Sample, Step, TextPart

if TYPE_CHECKING:
    import numpy as np


class Session(Protocol):
    """One trajectory as a state machine."""

    def next_request(self) -> Request | None:
        """The generation wanted now, the same until it is submitted; None when the trajectory is complete."""
        ...

    @property
    def steps(self) -> tuple[Step, ...]:
        """The part of the trajectory that is complete."""
        ...

    def submit(self, generation: Generation) -> None:
        """Take the generation asked for and move on.

        Raises:
            SessionError: nothing is asked for, or ``generation.key`` is not the key of the request.
        """
        ...

    def rollout(self) -> Rollout:
        """The complete trajectory.

        Raises:
            SessionError: a generation is still pending.
        """
        ...


class Task(Protocol):
    """Opens sessions; everything random in one follows from its seed."""

    def open(self, sample: Sample, *, index: int, seed: int) -> Session:
        """The session of rollout ``index`` of a sample.

        ``seed`` belongs to the sample: rollouts of one group get the same and are told apart by ``index``.
        """
        ...

    def rehearse(self, sample: Sample, rng: np.random.Generator) -> Session:
        """A session for texts that are already written: what is drawn for it comes from ``rng``."""
        ...


@runtime_checkable
class ChecksExamples(Protocol):
    """The protocol that a task follows beside its own if it does not ask about one image each."""

    def check_examples(self, examples: Sequence[Example]) -> None:
        """Raise DataError, with a remedy, where an example is none that it can ask about."""
        ...


@runtime_checkable
class AsksAboutSeveral(Protocol):
    """The protocol that a task follows beside its own if its questions show several images."""

    @property
    def images_shown(self) -> int:
        """The number of them."""
        ...


Given = Literal["looks", "evidence", "ratings"]
"""Parts of a trajectory that not every task has."""

_NEEDED: dict[Given, tuple[str, str]] = {
    "looks": ("is about closer looks", "task=zoom or task=chain"),
    "evidence": ("reads the evidence that answers list", "task=chain"),
    "ratings": ("is about the digits of answers", "task=zoom or task=chain"),
}


@runtime_checkable
class SaysWhatItGives(Protocol):
    """The protocol that a task follows beside its own to say which parts its trajectories may have."""

    @property
    def gives(self) -> frozenset[Given]:
        """Those of ``Given`` that they may have."""
        ...


def check_given(task: Task, needed: Mapping[str, frozenset[Given]]) -> None:
    """Refuse parts of an objective, by their keys in the config, that need what no trajectory of ``task`` has.

    A task that does not say what it gives may give anything.

    Raises:
        ConfigError: a part would do nothing, or judge what cannot be there.
    """
    given = task.gives if isinstance(task, SaysWhatItGives) else frozenset(_NEEDED)
    for key, parts in needed.items():
        for part in sorted(parts - given):
            reads, remedy = _NEEDED[part]
            raise ConfigError(
                f"{key} {reads}, and the task has none ({type(task).__name__}); use {remedy}, or drop it with ~{key}"
            )


def check_examples(task: Task, examples: Sequence[Example]) -> None:
    """Pass examples that ``task`` can ask about, before anything is made of them.

    Raises:
        DataError: there are some that it cannot ask about.
    """
    if isinstance(task, ChecksExamples):
        task.check_examples(examples)
        return
    require_one_image(examples, who="the task asks about")


def require_one_image(examples: Sequence[Example], *, who: str) -> None:
    """Pass examples of one image each; ``who`` is the begin of a sentence about that image.

    Raises:
        DataError: some have several.
    """
    several = [f"{example.name}: {len(example.images)} images" for example in examples if len(example.images) != 1]
    if several:
        raise DataError(
            f"{who} one image, and {len(several)} of {len(examples)} examples have several; use task=compare for "
            "pairs, or single images, such as benchmark=embedded or srbench_images",
            several,
        )


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) from any parts, the same on every machine and in every process."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def prompt_key(messages: Sequence[Message]) -> str:
    """A digest of a prompt's roles, texts and images: equal keys mean equal prompts."""
    digest = hashlib.blake2b(digest_size=16)
    for message in messages:
        parts = [("text", part.text) if isinstance(part, TextPart) else ("image", part.key) for part in message.parts]
        digest.update(repr((message.role, parts)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
