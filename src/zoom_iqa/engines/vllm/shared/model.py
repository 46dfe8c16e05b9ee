"""One served model for several trainers: those of equal weights ask side by side, others one after the other.

Trainers are told apart by names they give themselves; weights by a digest, so that of the processes of one run, which
have the same, one pushes. Every call of a trainer returns within a second or two: a push and a long step are asked
about again, so that an answer that does not come is a server that does not answer.
"""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.engines.vllm.serving import Completion, OtherWeightsError, Served, ServedRequest, require_fitting
from zoom_iqa.engines.vllm.shared.weight_files import WeightFiles, require_weights

Turn = Literal["held", "write", "wait"]
"""Of weights: the model has them; this trainer is to write them; or neither yet, ask again."""

STAYS_S = 2.0
"""A trainer that was heard this long ago may be in the middle of a rollout: others' weights wait for it."""
WRITES_S = 60.0
"""Another trainer is asked to write the same weights when the first has not within this time."""
FORGOTTEN_S = 600.0
"""A trainer that was not heard for this long is gone, and its completions with it."""
WAIT_S = 1.0
"""An answer waits this long for completions."""
OWN = ".taken"
"""Ends the name of a folder of weights that is the server's."""


@dataclass(eq=False)
class _Trainer:
    heard: float
    last: int = -1
    stays: bool = False
    unfinished: set[int] = field(default_factory=set)
    finished: dict[int, Completion] = field(default_factory=dict)


class SharedModel:
    """Trainers' calls, from any thread, and ``run``, which alone touches the served model.

    ``shape`` is that of the policies it can serve; ``name`` tells a server that was started anew from the one before.
    """

    def __init__(
        self, served: Served, *, shape: str, context_tokens: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = uuid.uuid4().hex
        self._served, self._shape, self._context_tokens, self._clock = served, shape, context_tokens, clock
        self._changed = threading.Condition()
        self._trainers: dict[str, _Trainer] = {}
        self._holds: str | None = None
        self._writer: tuple[str, float] | None = None
        self._written: tuple[str, Path] | None = None
        self._inbox: list[ServedRequest] = []
        self._moved = clock()

    @property
    def stalled_s(self) -> float:
        """Seconds since the model last went on, while there is something to do."""
        with self._changed:
            return self._clock() - self._moved if self._has_work() else 0.0

    def turn(self, trainer: str, *, weights: str, shape: str) -> Turn:
        """The state of weights that a trainer wants to ask.

        Raises:
            ConfigError: they are of a policy of another shape.
        """
        if shape != self._shape:
            raise ConfigError(
                "the server was started for a policy of another shape or dtype; start it with the policy.path and "
                "policy.dtype of this run"
            )
        with self._changed:
            asking, now = self._heard(trainer), self._clock()
            asking.stays = weights == self._holds
            if asking.stays:
                return "held"
            others_write = self._writer is not None and self._writer[0] != trainer and now < self._writer[1]
            if self._written is not None or others_write or self._others_stay(asking):
                return "wait"
            self._writer = (trainer, now + WRITES_S)
            return "write"

    def load(self, trainer: str, *, weights: str, folder: Path) -> None:
        """Take a folder of weights, which is the server's from then on; they are held a while later.

        Raises:
            ConfigError: the server cannot see or move it, or it is another folder, which stays as it is.
        """
        with self._changed:
            self._heard(trainer)
            if weights == self._holds or self._written is not None:
                return
            own = folder.with_name(f"{folder.name}{OWN}")  # so that a trainer that ends now cannot take it away
            try:
                require_weights(folder)
                folder.rename(own)
            except OSError as error:
                raise ConfigError(
                    f"machine.vllm_push_folder: the server cannot take {folder} ({error.strerror}); name a folder "
                    "that both see and may write"
                ) from error
            self._written = (weights, own)
            self._changed.notify_all()

    def submit(self, trainer: str, number: int, *, weights: str, request: ServedRequest) -> None:
        """Queue a request, once: ``number`` counts those of a trainer, and an earlier one has come already.

        Raises:
            ConfigError: it is longer than the model served takes.
            OtherWeightsError: the model does not hold the weights it is asked of.
        """
        require_fitting(request, context_tokens=self._context_tokens)
        with self._changed:
            asking = self._heard(trainer)
            if number <= asking.last:
                return
            if weights != self._holds:
                raise OtherWeightsError(f"{request.key}: the server holds other weights by now; push again")
            asking.last, asking.stays = number, True
            asking.unfinished.add(number)
            self._inbox.append(dataclasses.replace(request, key=f"{trainer}/{number}/{request.key}"))
            self._changed.notify_all()

    def finished(self, trainer: str, *, taken: Sequence[int]) -> dict[int, Completion]:
        """Completions by number, as soon as there are some; those in ``taken`` have come and are let go."""
        last = time.monotonic() + WAIT_S
        with self._changed:
            asking = self._heard(trainer)
            for number in taken:
                asking.finished.pop(number, None)
            while asking.unfinished and not asking.finished and time.monotonic() < last:
                self._changed.wait(WAIT_S)
            asking.heard = self._clock()
            return dict(asking.finished)

    def leave(self, trainer: str) -> None:
        """The trainer's rollout is done: others' weights need not wait for it."""
        with self._changed:
            self._heard(trainer).stays = False

    def run(self, stop: threading.Event) -> None:
        """Serve until asked to stop; an error of the model ends it."""
        while not stop.is_set():
            with self._changed:
                if not self._has_work():
                    self._forget()
                    self._changed.wait(WAIT_S / 10)
                    self._moved = self._clock()
                    continue
                written = None if self._unfinished() else self._written
                if written is not None:
                    self._holds = None  # no request comes in between
                queued, self._inbox = self._inbox, []
            if written is not None:
                self._served.push(WeightFiles(written[1]))
                shutil.rmtree(written[1])
            for request in queued:
                self._served.add(request)
            self._deliver(self._served.step() if self._served.busy else [], written)

    def _deliver(self, made: Sequence[Completion], written: tuple[str, Path] | None) -> None:
        with self._changed:
            if written is not None:
                self._holds, self._written, self._writer = written[0], None, None
            for completion in made:
                trainer, number, _ = completion.key.split("/", 2)
                self._trainers[trainer].unfinished.remove(int(number))
                self._trainers[trainer].finished[int(number)] = completion
            self._moved = self._clock()
            self._changed.notify_all()

    def _has_work(self) -> bool:
        return self._written is not None or self._unfinished()

    def _unfinished(self) -> bool:
        return any(trainer.unfinished for trainer in self._trainers.values())

    def _others_stay(self, asking: _Trainer) -> bool:
        now = self._clock()
        others = (trainer for trainer in self._trainers.values() if trainer is not asking)
        return self._unfinished() or any(trainer.stays and now - trainer.heard < STAYS_S for trainer in others)

    def _heard(self, trainer: str) -> _Trainer:
        if "/" in trainer:
            raise ConfigError(f"trainer={trainer}: a name has no /, which parts it from numbers")
        found = self._trainers.setdefault(trainer, _Trainer(self._clock()))
        found.heard = self._clock()
        return found

    def _forget(self) -> None:
        gone = [name for name, trainer in self._trainers.items() if self._clock() - trainer.heard > FORGOTTEN_S]
        for name in gone:
            del self._trainers[name]
