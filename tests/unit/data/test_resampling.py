"""Re-sampling: frequencies against the formula on a skewed histogram, phases, ranks, resuming."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.data.resampling import Resampler

# 100 images in three of ten bins: 80 of score 3.0, 15 of 4.5 and 5 of 1.1.
SKEWED = [3.0] * 80 + [4.5] * 15 + [1.1] * 5


def make(
    exponents: list[float], total: int, seed: int = 3, mos: list[float] | None = None, bins: int = 10
) -> Resampler:
    return Resampler(mos=SKEWED if mos is None else mos, seed=seed, total=total, exponents=exponents, bins=bins)


def shares(indices: list[int]) -> np.ndarray:
    index = np.array(indices)
    return np.array([(index < 80).mean(), ((index >= 80) & (index < 95)).mean(), (index >= 95).mean()])


def expected(exponent: float) -> np.ndarray:
    mass = np.array([80 * 80.0**-exponent, 15 * 15.0**-exponent, 5 * 5.0**-exponent])
    return mass / mass.sum()


def test_natural_draws_every_image_once_a_round() -> None:
    drawn = list(make([0.0], 250))
    assert sorted(drawn[:100]) == list(range(100))
    assert sorted(drawn[100:200]) == list(range(100))
    assert drawn[:100] != drawn[100:200]
    assert len(drawn) == 250


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_frequencies_follow_the_formula(exponent: float) -> None:
    drawn = list(make([exponent], 2000))
    np.testing.assert_allclose(shares(drawn), expected(exponent), atol=0.005)
    rare = Counter(i for i in drawn if i >= 95)
    np.testing.assert_allclose([rare[i] / 2000 for i in range(95, 100)], expected(exponent)[2] / 5, atol=0.004)


def test_inverse_frequency_makes_bins_equal() -> None:
    np.testing.assert_allclose(shares(list(make([1.0], 3000))), 1 / 3, atol=0.005)


def test_progressive_raises_the_rare_phase_by_phase() -> None:
    sampler = make([0.0, 0.5, 1.0], 3000)
    phases, drawn = [], []
    stream = iter(sampler)
    for _ in range(3000):
        phases.append(sampler.phase)
        drawn.append(next(stream))
    assert Counter(phases) == {0: 1000, 1: 1000, 2: 1000}
    for phase, exponent in enumerate((0.0, 0.5, 1.0)):
        np.testing.assert_allclose(shares(drawn[1000 * phase : 1000 * (phase + 1)]), expected(exponent), atol=0.01)


def test_probabilities_by_hand() -> None:
    sampler = make([1.0], 10, mos=[1.0, 1.1, 5.0], bins=4)  # bins of 1: {1.0, 1.1} and {5.0}
    np.testing.assert_allclose(sampler.probabilities(0), [0.25, 0.25, 0.5])


@pytest.mark.parametrize("taken", [0, 1, 99, 100, 137, 333, 500, 899])
def test_resuming_gives_the_same_continuation(taken: int) -> None:
    whole = list(make([0.0, 0.5, 1.0], 900))
    first = make([0.0, 0.5, 1.0], 900)
    assert list(islice(first, taken)) == whole[:taken]
    state = json.loads(json.dumps(first.state_dict()))
    assert state["phase"] == min(taken, 899) // 300
    resumed = make([0.0, 0.5, 1.0], 900)
    resumed.load_state_dict(state)
    assert list(resumed) == whole[taken:]


def test_draws_that_a_loader_fetched_ahead_are_given_again() -> None:
    whole, sampler = list(make([0.5], 300)), make([0.5], 300)
    list(islice(sampler, 120))
    resumed = make([0.5], 300)
    resumed.load_state_dict(sampler.state_dict(unused=30))
    assert list(resumed) == whole[90:]


def test_ranks_share_the_stream_without_overlap() -> None:
    whole = list(make([0.0, 1.0], 400))
    parts = [list(make([0.0, 1.0], 400).iterate(rank=rank, world_size=4)) for rank in range(4)]
    assert [parts[i % 4][i // 4] for i in range(400)] == whole


def test_ranks_draw_equally_often_when_the_total_does_not_divide() -> None:
    parts = [list(make([0.0], 10).iterate(rank=rank, world_size=3)) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 3, 3]


def test_resuming_on_another_number_of_processes_goes_on_in_the_stream() -> None:
    whole, two = list(make([0.5], 300)), make([0.5], 300)
    list(islice(two.iterate(rank=0, world_size=2), 50))
    one = make([0.5], 300)
    one.load_state_dict(two.state_dict())
    assert list(one) == whole[100:]


@pytest.mark.parametrize(
    "other", [make([0.5], 300, seed=4), make([0.6], 300), make([0.5], 301), make([0.5], 300, mos=SKEWED[:-1])]
)
def test_a_state_of_another_stream_is_refused(other: Resampler) -> None:
    with pytest.raises(ConfigError, match="keep it to resume"):
        other.load_state_dict(make([0.5], 300).state_dict())


def test_seeds_differ() -> None:
    assert list(make([0.5], 100, seed=1)) != list(make([0.5], 100, seed=2))


def test_unusable_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="exponents"):
        make([], 10)
    with pytest.raises(ConfigError, match="exponents"):
        make([-1.0], 10)
    with pytest.raises(ConfigError, match="bins=0"):
        make([0.0], 10, bins=0)
    with pytest.raises(DataError, match="empty"):
        make([0.0], 10, mos=[])
