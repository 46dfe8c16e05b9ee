"""Shared parts of image loaders: lists of samples as batches; workers of one thread each that die with their parent."""

from __future__ import annotations

import multiprocessing
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import cv2
import torch

from zoom_iqa.base.errors import ProcessError, StoppedError
from zoom_iqa.parallel.launching import die_with_parent
from zoom_iqa.parallel.stopping import signal_waiting

Sample = TypeVar("Sample")
REPRIEVE_S = 60
"""A scheduler ends all processes of a job at once; so long a worker still serves the step in hand."""
_LOST = re.compile(r"DataLoader worker \(pid\(?s?\)? ([\d, ]+)\) (is killed by signal: [\w ]+|exited unexpectedly)")


def as_list(samples: list[Sample]) -> list[Sample]:
    """Keep samples as they are: images differ in size and are encoded by the policy."""
    return samples


def single_thread_worker(worker: int) -> None:
    """Several loader workers with several threads each would only wait for one another."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with_parent(parent.pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Control-C reaches all; the parent decides
    signal.signal(signal.SIGTERM, _reprieve)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


@contextmanager
def worker_losses() -> Iterator[None]:
    """Turn torch's report of a dead worker, which may come at any moment, into one line.

    Raises:
        ProcessError: a worker died.
        StoppedError: it did, and a signal had asked this process to stop: it was sent to all of them.
    """
    try:
        yield
    except RuntimeError as error:
        lost = _LOST.search(str(error))
        if lost is None:
            raise
        asked = signal_waiting()
        if asked is not None:
            raise StoppedError(asked) from error
        raise ProcessError(
            f"a process that loads images (pid {lost[1]}) {lost[2].replace('is killed', 'was killed')}; most often "
            "memory ran out: start again with fewer, machine.workers=1, or none, machine.workers=0"
        ) from error


def _reprieve(number: int, frame: FrameType | None) -> None:
    signal.alarm(REPRIEVE_S)  # its default action is to end the process
