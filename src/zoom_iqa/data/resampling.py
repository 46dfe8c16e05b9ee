"""Re-sampling of training images by the rarity of their scores, in phases (Zoom-IQA, arXiv 2601.02918: progressive).

Few images of a benchmark are very bad or very good. A phase draws an image of a score bin with probability proportional
to count^-exponent per image: 0 is the natural distribution, 1 makes all bins equally frequent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from zoom_iqa.base.errors import ConfigError, DataError


class Resampler(Sampler[int]):
    """A stream of ``total`` indices into ``mos``, shared by all processes and resumable at any place.

    One phase for each of ``exponents``, all of like length. A phase is a row of rounds of ``len(mos)`` draws; in a
    round an image comes up floor or ceil of its expected number of times (systematic re-sampling), so the natural
    phase is drawing without replacement. Scores on 1-5 fall into ``bins`` of equal width. Round r of phase s depends on
    (seed, s, r) alone, so the place in the stream is the whole state.

    Raises:
        ConfigError: no exponent, a negative one, or no bin.
        DataError: no scores.
    """

    def __init__(self, *, mos: Sequence[float], seed: int, total: int, exponents: Sequence[float], bins: int) -> None:
        if not exponents or min(exponents) < 0:
            raise ConfigError(f"exponents={list(exponents)}: give one number from 0 up for each phase")
        if bins < 1:
            raise ConfigError(f"bins={bins}: give at least 1")
        if len(mos) == 0:
            raise DataError("no scores to re-sample by: the data set is empty")
        self._bin_N = np.clip(((np.asarray(mos) - 1) / 4 * bins).astype(int), 0, bins - 1)
        self._seed, self._total, self._exponents = seed, total, tuple(exponents)
        self._position = 0
        self._round: tuple[tuple[int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[int]:
        return self.iterate(rank=0, world_size=1)

    def iterate(self, *, rank: int, world_size: int) -> Iterator[int]:
        """The indices of one of ``world_size`` processes from the present place on: every world_size-th of the stream.

        What does not fill a turn of all processes at the end is left out, so that all draw equally often.
        """
        while self._position + world_size <= self._total:
            index = self._at(self._position + rank)
            self._position += world_size
            yield index

    @property
    def phase(self) -> int:
        """The phase of the next draw, from 0."""
        return self._phase_at(min(self._position, self._total - 1))

    def probabilities(self, phase: int) -> np.ndarray:
        """Probability of each image to be the next draw of ``phase``, shape (N,), sum 1."""
        counts = np.bincount(self._bin_N)
        weight_N = counts[self._bin_N] ** -float(self._exponents[phase])
        return weight_N / weight_N.sum()

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
            if state[name] != value:
                raise ConfigError(
                    f"re-sampling {name}={value!r}, but the checkpoint has {state[name]!r}: keep it to resume"
                )
        self._position = int(state["position"])

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self._seed,
            "total": self._total,
            "exponents": list(self._exponents),
            "bin_counts": np.bincount(self._bin_N).tolist(),
        }

    def _phase_at(self, position: int) -> int:
        return position * len(self._exponents) // self._total

    def _at(self, position: int) -> int:
        phase = self._phase_at(position)
        start = -(-phase * self._total // len(self._exponents))
        number, offset = divmod(position - start, len(self._bin_N))
        if self._round is None or self._round[0] != (phase, number):
            self._round = (phase, number), self._draw(phase, number)
        return int(self._round[1][offset])

    def _draw(self, phase: int, number: int) -> np.ndarray:
        """The N indices of a round: systematic re-sampling of the images in random order, then shuffled."""
        rng = np.random.default_rng((self._seed, phase, number))
        count = len(self._bin_N)
        order_N = rng.permutation(count)
        edges_N = np.cumsum(self.probabilities(phase)[order_N]) * count
        picks_N = np.searchsorted(edges_N, rng.random() + np.arange(count), side="right")
        return rng.permutation(order_N[np.minimum(picks_N, count - 1)])
