"""Asked to stop, a run ends after a whole step: signals are remembered while one is in hand, and agreed on at its end.

SIGINT, SIGTERM and, in a SLURM batch job, SIGUSR1 (``sbatch --signal=USR1@900``) ask. Between steps they act at once,
as a second Control-C always does; then nothing of the step is kept, and a run goes on from what was saved before.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import torch
import torch.distributed as dist

from zoom_iqa.base.errors import StoppedError
from zoom_iqa.parallel.agreement import agreed_answers
from zoom_iqa.parallel.processes import current_reducer, is_first, world_size

REQUEUE = signal.SIGUSR1
_KEY = "zoom_iqa/stop"
Step = TypeVar("Step")


class _Asked:
    """Signals are a process's, and so is what is known of them."""

    process = 0
    stepping = False
    between = False
    by: signal.Signals | None = None


@contextmanager
def stoppable() -> Iterator[None]:
    """Within the block signals raise StoppedError, or wait for the end of the step in hand."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread alone
        return
    _Asked.process = os.getpid()
    numbers = (signal.SIGINT, signal.SIGTERM, *((REQUEUE,) if in_slurm_batch() else ()))
    before = {number: signal.signal(number, _handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _Asked.stepping, _Asked.by = False, None


@contextmanager
def stepping() -> Iterator[bool]:
    """Within the block a signal waits; at its end one that nobody saw acts.

    Yields whether the block's steps are whole ones, after which ``stop_asked`` or ``agreed_stop`` should be looked at:
    inside another such block they are parts of a step.

    Raises:
        StoppedError: a signal has waited.
    """
    outermost = not _Asked.stepping
    _Asked.stepping = True
    try:
        yield outermost
    finally:
        _Asked.stepping = not outermost
    if outermost and _Asked.by is not None:
        raise StoppedError(_Asked.by)


def signal_waiting() -> signal.Signals | None:
    """The signal that has asked this very process to stop, if one has."""
    return _Asked.by


def stop_asked() -> signal.Signals | None:
    """The signal that asks this run to stop, in whichever process it came; processes may ask at any time of their own.

    After it every process must come to ``agreed_stop``.
    """
    if world_size() == 1:
        return _Asked.by
    store = dist.distributed_c10d._get_default_store()  # the processes' own board: no other call is free of turns
    if _Asked.by is not None:
        store.set(_KEY, str(_Asked.by.value))
    elif store.check([_KEY]):
        return signal.Signals(int(store.get(_KEY)))
    return _Asked.by


def agreed_stop() -> signal.Signals | None:
    """As ``stop_asked``, where all processes meet: all get the same answer."""
    number = 0 if _Asked.by is None else _Asked.by.value
    numbers, _ = current_reducer().gather(torch.tensor([number]))
    asked = int(numbers.max())
    return signal.Signals(asked) if asked else None


def until_stopped(steps: Iterable[Step]) -> Iterator[Step]:
    """Pass on whole steps until a signal asks to stop. Every process must run through it, each at its own pace.

    Raises:
        AnswersError: the steps of a process have raised it; all processes do, at the end of theirs.
        StoppedError: a signal has asked; all processes are told.
    """
    with stepping() as outermost:
        whole = outermost or _Asked.between
        with agreed_answers(current_reducer()):
            for step in steps:
                yield step
                if whole and stop_asked() is not None:
                    break
        asked = agreed_stop() if whole else None
    if asked is not None:
        raise StoppedError(asked, whole=not outermost)


@contextmanager
def between_steps() -> Iterator[None]:
    """Within the block, of work after a step that is complete, ``until_stopped`` stops between steps of its own."""
    _Asked.between = True
    try:
        yield
    finally:
        _Asked.between = False


def in_slurm_batch() -> bool:
    """Whether this is a batch job of SLURM, which can be requeued."""
    return "SLURM_JOB_ID" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive")


def _handle(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _Asked.process:
        return  # a loader's worker that has just begun: its parent will end it
    again = number == signal.SIGINT and _Asked.by is not None
    _Asked.by = _Asked.by or signal.Signals(number)
    if again or not _Asked.stepping:
        raise StoppedError(_Asked.by)
    if is_first():
        text = f"{_Asked.by.name}: stopping after the step in hand; Control-C (again) stops at once\n"
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, text.encode())  # print is not safe in a handler
