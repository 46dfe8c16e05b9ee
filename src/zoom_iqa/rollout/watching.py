"""One session x engines, told as it happens: for those who look on while a policy thinks."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

from zoom_iqa.base.types import Generation, Request
from zoom_iqa.engines.engine import Engine, Watchable
from zoom_iqa.rollout.collect import engine_of
from zoom_iqa.tasks.task import Session

_HALF = "\N{REPLACEMENT CHARACTER}"  # a character of which some bytes are still to come


def watch(session: Session, *, engines: Mapping[str, Engine]) -> Iterator[str]:
    """Run the session to its end; after each token the text so far of the turn being written.

    ``session.steps`` are the turns before it, and its rollout is complete when the iteration is. An engine that cannot
    be watched is silent until a turn is complete. An iteration that is given up takes its request back.

    Raises:
        ConfigError: a request is for a speaker that ``engines`` does not name.
    """
    try:
        while (request := session.next_request()) is not None:
            yield ""
            generation = yield from _written(request, engine_of(request, engines))
            session.submit(generation)
    finally:
        for engine in engines.values():
            engine.release()


def _written(request: Request, engine: Engine) -> Generator[str, None, Generation]:
    """The texts on the way to a generation, which is returned."""
    engine.submit(request)
    found: Generation | None = None
    try:
        while found is None:
            found = next((done for done in engine.step() if done.key == request.key), None)
            if found is None and isinstance(engine, Watchable):
                yield engine.unfinished.get(request.key, "").rstrip(_HALF)
    finally:
        if found is None and isinstance(engine, Watchable):
            engine.abandon()
    return found
