"""The Engine protocol: the part that makes generations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, Request


class Engine(Protocol):
    """Takes requests and returns generations as they finish, in any order.

    ``sampling`` is how tokens of requests without sampling of their own are drawn. A generation's log-probabilities are
    of the distribution sampled from: banned ids masked, temperature and truncation applied; of a greedy choice, of the
    whole distribution at the temperature. The same request and weights give the same tokens whatever else is running,
    to floating-point noise.
    """

    sampling: SamplingParams

    @property
    def busy(self) -> bool:
        """Whether submitted requests are still unfinished."""
        ...

    def submit(self, request: Request) -> None:
        """Queue a request; its key must differ from those of unfinished requests."""
        ...

    def step(self) -> list[Generation]:
        """Advance and return what finished meanwhile, perhaps nothing. Does nothing when not busy."""
        ...

    def refresh(self) -> None:
        """The weights have changed: drop what was computed from them. Call after every optimizer step."""
        ...

    def release(self) -> None:
        """No request to come continues one that has finished: give back what was kept for that."""
        ...


@runtime_checkable
class HasWeights(Protocol):
    """An engine with weights of its own beside the policy's."""

    def drop_weights(self) -> None:
        """Give them back; ``refresh`` makes them anew, before anything else is asked of it."""
        ...


def rest(engine: Engine) -> None:
    """Leave an engine no weights of its own, until ``refresh``: it may live on, and others need the room."""
    if isinstance(engine, HasWeights):
        engine.drop_weights()


@runtime_checkable
class Watchable(Protocol):
    """An engine whose answers can be read while they are written, and that can be stopped in the middle."""

    @property
    def unfinished(self) -> Mapping[str, str]:
        """The texts so far of the requests that are being answered, by key."""
        ...

    def abandon(self) -> None:
        """Drop every request that waits or runs."""
        ...
