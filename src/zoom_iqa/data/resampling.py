"""Re-sampling of training images by the rarity of their scores, in phases (Zoom-IQA, arXiv 2601.02918: progressive).

Few images of a benchmark are very bad or very good. A phase draws an image of a score bin with probability proportional
to count^-exponent per image: 0 is the natural distribution, 1 makes all bins equally frequent. As a bin of five images
would then show each of them hundreds of times, a cap bounds how often one image comes up in a phase.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Sampler

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.ranges import require_count_or_none, require_whole


@runtime_checkable
class IndexStream(Protocol):
    """The protocol of a re-sampling schedule, made from ``mos``, ``seed`` and ``total``: indices, the same everywhere.

    ``weighted`` says whether it draws by the scores at all.
    """

    @property
    def weighted(self) -> bool:
        """Whether scores decide what is drawn."""
        ...

    def iterate(self, *, rank: int, world_size: int) -> Iterator[int]:
        """The indices that one process draws from here on: of the common stream every ``world_size``-th."""
        ...

    def state_dict(self, *, unused: int = 0) -> dict[str, Any]:
        """The place in the stream as ``position``, in samples of all processes, without the last ``unused``."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        ...

    def repeats_said(self) -> str:
        """How often an image comes up, in words."""
        ...


class Resampler(Sampler[int]):
    """A stream of ``total`` indices into ``mos``, shared by all processes and resumable at any place.

    One phase for each of ``exponents``, all of like length. In a phase an image comes up floor or ceil of its expected
    number of times (systematic re-sampling), its repeats spread over the phase; the natural phase is drawing without
    replacement, round by round. Scores on 1-5 fall into ``bins`` of equal width. No image comes up more than
    ``max_repeats`` times in a phase (None: no cap), or than an even draw of all images needs where a phase is longer
    than that; the draws cut off go to the other images in proportion. A phase depends on (seed, phase) alone, so the
    place in the stream is the whole state.

    Raises:
        ConfigError: no exponent, a negative one, no bin, or a cap below 1.
        DataError: no scores.
    """

    def __init__(
        self,
        *,
        mos: Sequence[float],
        seed: int,
        total: int,
        exponents: Sequence[float],
        bins: int,
        max_repeats: int | None,
    ) -> None:
        if not exponents or not all(0 <= exponent < math.inf for exponent in exponents):
            raise ConfigError(f"exponents={list(exponents)}: give one number from 0 up for each phase")
        require_whole("bins", bins, least=1)
        require_count_or_none("max_repeats", max_repeats, none_means="caps no image")
        if len(mos) == 0:
            raise DataError("no scores to re-sample by: the data set is empty")
        self._bin_N = np.clip(((np.asarray(mos) - 1) / 4 * bins).astype(int), 0, bins - 1)
        self._seed, self._total, self._exponents = seed, total, tuple(exponents)
        self._max_repeats = max_repeats
        self._position = 0
        self._drawn: tuple[tuple[int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[int]:
        return self.iterate(rank=0, world_size=1)

    def iterate(self, *, rank: int, world_size: int) -> Iterator[int]:
        """The indices of one of ``world_size`` processes from the present place on: every world_size-th of the stream.

        The draws that do not fill a turn of all processes at the end are left out, so that all draw equally often.
        """
        while self._position + world_size <= self._total:
            index = self._at(self._position + rank)
            self._position += world_size
            yield index

    @property
    def phase(self) -> int:
        """The phase of the next draw, from 0."""
        return self._phase_at(min(self._position, self._total - 1))

    def expected(self, phase: int) -> np.ndarray:
        """Expected number of times that each image comes up in ``phase``, shape (N,); their sum is its draws."""
        counts = np.bincount(self._bin_N)
        rarest = counts[counts > 0].min()
        weight_N = (counts[self._bin_N] / rarest) ** -float(self._exponents[phase])  # of the rarest 1: none underflows
        draws = self._length(phase)
        expected_N = weight_N / weight_N.sum() * draws
        if self._max_repeats is None:
            return expected_N
        return _capped(expected_N, max(float(self._max_repeats), draws / len(weight_N)))

    def largest_repeats(self) -> list[int]:
        """How often the image that comes up most does so, for each phase."""
        count = len(self._bin_N)
        return [
            int(self._repeats(phase).max()) if exponent else -(-self._length(phase) // count)
            for phase, exponent in enumerate(self._exponents)
        ]

    @property
    def weighted(self) -> bool:
        """Whether any phase draws some images more often than others."""
        return any(self._exponents)

    def repeats_said(self) -> str:
        """A line on how often one image comes up, to be said when a stage begins."""
        each = ", ".join(map(str, self.largest_repeats()))
        cap = "no max_repeats" if self._max_repeats is None else f"max_repeats={self._max_repeats}"
        return f"one of {len(self._bin_N):,} images comes up at most {each} times in a phase ({cap})"

    def state_dict(self, *, unused: int = 0) -> dict[str, Any]:
        """The place in the stream, less ``unused`` draws (of all processes) that a loader fetched ahead of training."""
        position = self._position - unused
        return {"position": position, "phase": self._phase_at(min(position, self._total - 1)), **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``.

        Raises:
            ConfigError: the state is of another stream (seed, length, phases or scores differ).
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise ConfigError(
                    f"re-sampling {name}={value!r}, but the checkpoint has {state.get(name)!r}: keep it to resume"
                )
        self._position = int(state["position"])

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self._seed,
            "total": self._total,
            "exponents": list(self._exponents),
            "max_repeats": self._max_repeats,
            "bin_counts": np.bincount(self._bin_N).tolist(),
        }

    def _phase_at(self, position: int) -> int:
        return position * len(self._exponents) // self._total

    def _start(self, phase: int) -> int:
        return -(-phase * self._total // len(self._exponents))

    def _length(self, phase: int) -> int:
        return self._start(phase + 1) - self._start(phase)

    def _at(self, position: int) -> int:
        phase = self._phase_at(position)
        number, offset = 0, position - self._start(phase)
        if not self._exponents[phase]:
            number, offset = divmod(offset, len(self._bin_N))
        if self._drawn is None or self._drawn[0] != (phase, number):
            draw = self._weighted(phase) if self._exponents[phase] else self._natural(phase, number)
            self._drawn = (phase, number), draw
        return int(self._drawn[1][offset])

    def _natural(self, phase: int, number: int) -> np.ndarray:
        """The N indices of a round, each once."""
        rng = np.random.default_rng((self._seed, phase, number))
        order_N = rng.permutation(len(self._bin_N))
        rng.random()  # keeps the order that a round of weighted draws once had
        return rng.permutation(order_N)

    def _weighted(self, phase: int) -> np.ndarray:
        """The T indices of a phase, each image's repeats spread evenly over it."""
        repeats_N = self._repeats(phase)
        index_T = np.repeat(np.arange(len(repeats_N)), repeats_N)
        first_N = np.cumsum(repeats_N) - repeats_N
        nth_T = np.arange(len(index_T)) - first_N[index_T]
        place_T = (nth_T + np.random.default_rng((self._seed, phase, 1)).random(len(index_T))) / repeats_N[index_T]
        return index_T[np.argsort(place_T, kind="stable")]

    def _repeats(self, phase: int) -> np.ndarray:
        """How often each image comes up in a weighted phase: floor or ceil of the expectation, which is their mean."""
        rng = np.random.default_rng((self._seed, phase, 0))
        expected_N = self.expected(phase)
        repeats_N = np.floor(expected_N + 1e-9).astype(int)  # 2.9999999999 is 3
        missing = self._length(phase) - int(repeats_N.sum())
        order_N = rng.permutation(len(expected_N))
        edges_N = np.cumsum(np.maximum(expected_N - repeats_N, 0)[order_N])
        points = (rng.random() + np.arange(missing)) / max(missing, 1) * edges_N[-1]
        picks = np.searchsorted(edges_N, np.minimum(points, np.nextafter(edges_N[-1], 0)), side="right")
        np.add.at(repeats_N, order_N[picks], 1)
        return repeats_N


def _capped(expected_N: np.ndarray, cap: float) -> np.ndarray:
    """``expected_N`` with none above ``cap`` (at least their mean); their excess goes to the others in proportion."""
    total, held_N = expected_N.sum(), np.zeros(len(expected_N), dtype=bool)
    while (above_N := (expected_N > cap) & ~held_N).any():
        held_N |= above_N
        free = total - cap * held_N.sum()
        expected_N = np.where(held_N, cap, expected_N * (free / max(expected_N[~held_N].sum(), 1e-300)))
    return expected_N
