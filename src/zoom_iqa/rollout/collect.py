"""Sessions x engines: asks sessions what they want generated, hands it to their speakers, gives back what came of it.

A session's next request is submitted the moment its generation is in, while others are still being generated; and a
probe is asked the moment its rollout is complete, so that it meets the weights that made the rollout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from zoom_iqa.base.errors import ConfigError, SessionError
from zoom_iqa.base.types import Example, Request, Rollout, RolloutGroup, Sample
from zoom_iqa.engines.engine import Engine, Watchable
from zoom_iqa.rollout.probe import Probe
from zoom_iqa.tasks.answer import RATING_MAX, RATING_MIN
from zoom_iqa.tasks.task import Session, Task, derive_seed


def collect(
    sessions: Iterable[Session], *, engines: Mapping[str, Engine], probes: Mapping[str, Probe] | None = None
) -> list[Rollout]:
    """Run every session to its end, and the probes of what came of it; rollouts in the order of the sessions.

    Where it does not come to an end, engines that can be stopped in the middle drop their requests.

    Raises:
        ConfigError: a request is for a speaker that ``engines`` does not name.
        SessionError: two requests that are unfinished at once have one key, an engine does not answer each request
            once, or a rating is off the scale.
    """
    loop = _Loop(engines, probes or {})
    return loop.run(sessions)


def collect_groups(
    samples: Sequence[Sample],
    *,
    task: Task,
    engines: Mapping[str, Engine],
    group_size: int,
    seed: int,
    probes: Mapping[str, Probe] | None = None,
) -> list[RolloutGroup]:
    """``group_size`` rollouts of every sample; where an example occurs again their numbers go on.

    Everything random derives from ``seed``, the example's name, how often it occurred before in ``samples`` and the
    rollout's index: not from what else is in the batch.
    """
    occurrences: Counter[str] = Counter()
    sessions: list[Session] = []
    for sample in samples:
        before = occurrences[sample.example.name]
        occurrences[sample.example.name] += 1
        sample_seed = seed_of(sample.example, seed=seed, occurrence=before)
        numbers = range(before * group_size, (before + 1) * group_size)
        sessions.extend(task.open(sample, index=index, seed=sample_seed) for index in numbers)
    rollouts = collect(sessions, engines=engines, probes=probes)
    return [
        RolloutGroup(sample.example, tuple(rollouts[start : start + group_size]))
        for sample, start in zip(samples, range(0, len(rollouts), group_size), strict=True)
    ]


def seed_of(example: Example, *, seed: int, occurrence: int = 0) -> int:
    """The seed of an example's session that occurred ``occurrence`` times before among the samples of ``seed``."""
    return derive_seed(seed, example.name, occurrence)


def engine_of(request: Request, engines: Mapping[str, Engine]) -> Engine:
    """The engine of the request's speaker.

    Raises:
        ConfigError: there is none.
    """
    if request.speaker not in engines:
        raise ConfigError(f"engines: no engine speaks for {request.speaker!r}; there are {', '.join(engines)}")
    return engines[request.speaker]


@dataclass(frozen=True, eq=False)
class _Running:
    """A session, the rollout it belongs to, and the probe it answers, if it does."""

    session: Session
    number: int
    probe: str | None

    def key(self, own: str) -> str:
        """The key in the batch: a probe's name stands before it, as two probes may ask the same."""
        return own if self.probe is None else f"{self.probe}/{own}"

    def own_key(self, key: str) -> str:
        """The session's own key."""
        return key if self.probe is None else key.removeprefix(f"{self.probe}/")


def _check_scale(rollout: Rollout) -> None:
    rating = rollout.rating
    if isinstance(rating, float) and not RATING_MIN <= rating <= RATING_MAX:
        raise SessionError(
            f"{rollout.example.name}: its task reads a rating of {rating}, off the scale of {RATING_MIN:g} to "
            f"{RATING_MAX:g}; clip it and keep the written_rating, or give a failure"
        )


class _Loop:
    def __init__(self, engines: Mapping[str, Engine], probes: Mapping[str, Probe]) -> None:
        self._engines, self._probes = engines, probes
        self._running: dict[str, _Running] = {}
        self._rollouts: dict[int, Rollout] = {}
        self._answers: dict[int, dict[str, list[_Running]]] = {}

    def run(self, sessions: Iterable[Session]) -> list[Rollout]:
        try:
            return self._run(sessions)
        except BaseException:  # an engine that lives on must not answer later what nobody waits for
            for engine in self._engines.values():
                if isinstance(engine, Watchable):
                    engine.abandon()
                    engine.release()
            raise

    def _run(self, sessions: Iterable[Session]) -> list[Rollout]:
        for number, session in enumerate(sessions):
            self._go_on(_Running(session, number, None))
        while any(engine.busy for engine in self._engines.values()):
            for engine in self._engines.values():
                for generation in engine.step():
                    running = self._answered(generation.key)
                    running.session.submit(replace(generation, key=running.own_key(generation.key)))
                    self._go_on(running)
        if self._running:
            lost = ", ".join(map(repr, self._running))
            raise SessionError(f"an engine has no more to do and never answered {lost}; each request needs an answer")
        for engine in self._engines.values():
            engine.release()
        return [self._complete(number) for number in sorted(self._rollouts)]

    def _answered(self, key: str) -> _Running:
        if key not in self._running:
            raise SessionError(f"an engine answered {key!r}, which is not asked for; each request needs one answer")
        return self._running.pop(key)

    def _go_on(self, running: _Running) -> None:
        request = running.session.next_request()
        if request is None:
            self._finish(running)
            return
        request = replace(request, key=running.key(request.key))
        if request.key in self._running:
            raise SessionError(f"{request.key!r} is asked for twice at once; request keys must differ in a batch")
        engine = engine_of(request, self._engines)
        self._running[request.key] = running
        engine.submit(request)

    def _finish(self, running: _Running) -> None:
        if running.probe is not None:
            return
        rollout = self._rollouts[running.number] = running.session.rollout()
        _check_scale(rollout)
        answers = self._answers[running.number] = {}
        for name, probe in self._probes.items():
            answers[name] = [_Running(session, running.number, name) for session in probe.sessions(rollout)]
            for asked in answers[name]:
                self._go_on(asked)

    def _complete(self, number: int) -> Rollout:
        probes = {
            name: tuple(asked.session.rollout() for asked in running) for name, running in self._answers[number].items()
        }
        return replace(self._rollouts[number], probes=probes)
