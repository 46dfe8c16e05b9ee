"""Seconds of a training step by phase, images and tokens a second, and memory at its peak."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from zoom_iqa.objectives.measures import Mean, Measures, Peak
from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion, TokenLogProbs
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.policy.vision_gradients import VisionGradients

GIGABYTE = 1e9
KILOBYTE = 1024

P = ParamSpec("P")
R = TypeVar("R")
Marks = tuple[float, float] | tuple[torch.cuda.Event, torch.cuda.Event]


class StepClock:
    """Measures one step after the other; ``phases`` are all there are, in every process.

    On a GPU a phase lasts from the moment its first kernel may start to the end of its last one, by marks that the
    device sets itself: measuring makes nothing wait before the step is over.
    """

    def __init__(self, *, phases: Sequence[str]) -> None:
        self._phases = tuple(phases)
        self._marks: list[tuple[str, Marks]] = []
        self._device = torch.device("cpu")
        self._started = self._ended = 0.0
        self._between: float | None = None

    def start(self, device: torch.device) -> None:
        """Begin a step whose work is done on ``device``."""
        self._device, self._marks = device, []
        self._started = time.perf_counter()
        self._between = self._started - self._ended if self._ended else None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block towards a phase.

        Raises:
            ValueError: there is no such phase.
        """
        if name not in self._phases:
            raise ValueError(f"{name!r} is none of the phases {', '.join(self._phases)}")
        begun = self._now()
        try:
            yield
        finally:
            self._marks.append((name, (begun, self._now())))  # type: ignore[arg-type]  # both are of one kind

    def timed(self, name: str, call: Callable[P, R]) -> Callable[P, R]:
        """``call``, counted towards a phase."""

        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.phase(name):
                return call(*args, **kwargs)

        return counted

    def measures(self, *, images: int, tokens: dict[str, tuple[int, str]], processes: int) -> Measures:
        """The step's seconds, speed and memory; it ends here.

        ``images`` are those of this process; ``tokens`` counts them by name, with the phase they were made in, or
        ``step`` for the whole. Means are over processes, rates are those of all ``processes`` together.
        """
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._ended = time.perf_counter()
        seconds = dict.fromkeys(self._phases, 0.0)
        for name, (begun, ended) in self._marks:
            seconds[name] += _elapsed(begun, ended)
        seconds["step"] = self._ended - self._started
        measures: Measures = {f"seconds/{name}": _mean(value) for name, value in seconds.items()}
        measures["seconds/between"] = _mean(self._between or 0.0, weight=0.0 if self._between is None else 1.0)
        measures["speed/images"] = _mean(images * processes, weight=seconds["step"])
        for name, (count, phase) in tokens.items():
            measures[f"speed/{name}"] = _mean(count * processes, weight=seconds[phase])
        measures["memory/peak"] = Peak(torch.tensor(peak_memory(self._device) / GIGABYTE, dtype=torch.float64))
        return measures

    def _now(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        mark = torch.cuda.Event(enable_timing=True)
        mark.record(torch.cuda.current_stream(self._device))
        return mark


class TimedLikelihood(Likelihood):
    """A likelihood whose passes count towards ``phase``, and whose gradients into the tower towards ``backward``."""

    def __init__(
        self,
        *,
        clock: StepClock,
        phase: str,
        policy: Policy,
        temperature: float,
        features: VisionCache | VisionGradients | None,
        logit_chunk: int,
    ) -> None:
        super().__init__(policy=policy, temperature=temperature, features=features, logit_chunk=logit_chunk)
        self._clock, self._phase = clock, phase

    def __call__(self, samples: Sequence[PromptCompletion], *, entropy: bool, select_S: Tensor | None) -> TokenLogProbs:
        """As the likelihood's."""
        with self._clock.phase(self._phase):
            return super().__call__(samples, entropy=entropy, select_S=select_S)

    def finish_images(self, still_shown: Collection[str]) -> None:
        """As the likelihood's."""
        with self._clock.phase("backward"):
            super().finish_images(still_shown)


def peak_memory(device: torch.device) -> int:
    """Bytes: on a GPU the most that tensors took since the step began, elsewhere the most the process ever took."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE


def _elapsed(begun: float | torch.cuda.Event, ended: float | torch.cuda.Event) -> float:
    if isinstance(begun, torch.cuda.Event) and isinstance(ended, torch.cuda.Event):
        return begun.elapsed_time(ended) / 1000  # it counts milliseconds
    assert isinstance(begun, float)
    assert isinstance(ended, float)
    return ended - begun


def _mean(total: float, *, weight: float = 1.0) -> Mean:
    return Mean(torch.tensor(total, dtype=torch.float64), torch.tensor(weight, dtype=torch.float64))
