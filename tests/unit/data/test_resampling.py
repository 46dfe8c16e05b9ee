"""Re-sampling: frequencies against the formula on a skewed histogram, caps, phases, ranks, resuming."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.data.resampling import Resampler

# 100 images in three of ten bins: 80 of score 3.0, 15 of 4.5 and 5 of 1.1.
SKEWED = [3.0] * 80 + [4.5] * 15 + [1.1] * 5


def make(
    exponents: list[float],
    total: int,
    seed: int = 3,
    mos: list[float] | None = None,
    bins: int = 10,
    max_repeats: int | None = None,
) -> Resampler:
    return Resampler(
        mos=SKEWED if mos is None else mos,
        seed=seed,
        total=total,
        exponents=exponents,
        bins=bins,
        max_repeats=max_repeats,
    )


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


def test_the_natural_order_of_a_seed_stays_as_it_is() -> None:
    assert list(make([0.0], 10, mos=[2.0, 3.0, 4.0, 4.5, 1.0], seed=7)) == [2, 3, 0, 1, 4, 3, 4, 2, 0, 1]


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


def test_expected_frequencies_by_hand() -> None:
    sampler = make([1.0], 10, mos=[1.0, 1.1, 5.0], bins=4)  # bins of 1: {1.0, 1.1} and {5.0}
    np.testing.assert_allclose(sampler.expected(0), [2.5, 2.5, 5.0])


def test_bins_divide_the_scale_from_1_to_5() -> None:
    """Four bins of one point each, the first from 1 to 2: each gets 2.5 of ten draws."""
    sampler = make([1.0], 10, mos=[1.0, 1.9, 2.1, 3.0, 4.9], bins=4)
    np.testing.assert_allclose(sampler.expected(0), [1.25, 1.25, 2.5, 2.5, 2.5])


# Of 300 draws each bin gets 100. Five images at the cap of 10 free 50 draws for the other bins, 125 each; at the cap of
# 8 the second bin's 130 draws are above 15 * 8 too, and the first gets 300 - 40 - 120. No cap is below an even draw.
@pytest.mark.parametrize(
    ("cap", "first", "second", "third"),
    [
        (None, 100 / 80, 100 / 15, 20),
        (20, 100 / 80, 100 / 15, 20),
        (10, 125 / 80, 125 / 15, 10),
        (8, 140 / 80, 8, 8),
        (3, 3, 3, 3),
        (1, 3, 3, 3),
    ],
)
def test_expected_frequencies_under_a_cap_by_hand(cap: int | None, first: float, second: float, third: float) -> None:
    sampler = make([1.0], 300, max_repeats=cap)
    np.testing.assert_allclose(sampler.expected(0), [first] * 80 + [second] * 15 + [third] * 5, rtol=1e-12)
    counts = Counter(sampler)
    for index, expected in enumerate(sampler.expected(0)):
        assert counts[index] in (np.floor(expected), np.ceil(expected))
    assert max(counts.values()) == sampler.largest_repeats()[0]


def test_repeats_of_each_seed_have_the_expected_frequencies_as_their_mean() -> None:
    mean = np.mean([np.bincount(list(make([1.0], 300, seed=s, max_repeats=10)), minlength=100) for s in range(400)], 0)
    np.testing.assert_allclose(mean, make([1.0], 300, max_repeats=10).expected(0), atol=0.1)


@given(
    mos=st.lists(st.floats(1, 5), min_size=1, max_size=40),
    exponents=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=3),
    total=st.integers(1, 300),
    cap=st.integers(1, 30),
)
def test_no_image_comes_more_often_than_the_cap_or_an_even_draw(
    mos: list[float], exponents: list[float], total: int, cap: int
) -> None:
    sampler = make(exponents, total, mos=mos, max_repeats=cap)
    stream, drawn, phases = iter(sampler), [], []
    for _ in range(total):
        phases.append(sampler.phase)
        drawn.append(next(stream))
    assert next(stream, None) is None
    for phase, largest in enumerate(sampler.largest_repeats()):
        of_phase = [index for index, its in zip(drawn, phases, strict=True) if its == phase]
        assert max(Counter(of_phase).values(), default=0) == largest <= max(cap, -(-len(of_phase) // len(mos)))


def test_repeats_are_spread_over_their_phase() -> None:
    drawn = list(make([1.0], 300))
    for index in range(95, 100):  # 20 times each: once in each twentieth of the phase, give or take its borders
        places = [place for place, it in enumerate(drawn) if it == index]
        np.testing.assert_allclose(places, np.arange(20) * 15 + 7, atol=16)


def test_phases_of_one_exponent_are_drawn_anew() -> None:
    """Of 80 draws 40 fall on the bin of 80 images: half of them, others in each phase; the bin of 20 comes up twice."""
    drawn = list(make([1.0, 1.0], 160, mos=[3.0] * 80 + [4.5] * 20))
    first, second = ({index for index in phase if index < 80} for phase in (drawn[:80], drawn[80:]))
    assert len(first) == len(second) == 40
    assert first != second
    whole = list(make([1.0, 1.0], 200, mos=[3.0] * 100))  # each phase shows all images, each once
    assert sorted(whole[:100]) == sorted(whole[100:]) == list(range(100))
    assert whole[:100] != whole[100:]
    natural = list(make([0.0, 0.0], 200))
    assert natural[:100] != natural[100:]


def test_a_rare_image_of_a_skewed_benchmark_is_capped() -> None:
    mos = [3.0] * 7000 + [1.2] * 5  # of 10,667 draws 0.026 fall on five images at 0.5, and half at 1.0
    assert make([0.0, 0.5, 1.0], 32_000, mos=mos).largest_repeats() == [2, 56, 1067]
    assert make([0.0, 0.5, 1.0], 32_000, mos=mos, max_repeats=10).largest_repeats() == [2, 10, 10]


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
    second = make([0.5, 1.0], 300)
    list(islice(second, 160))
    state = second.state_dict(unused=30)
    assert (state["position"], state["phase"]) == (130, 0)  # fetched in the second phase, used in the first


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
    "other",
    [
        make([0.5], 300, seed=4),
        make([0.6], 300),
        make([0.5], 301),
        make([0.5], 300, mos=SKEWED[:-1]),
        make([0.5], 300, max_repeats=9),
    ],
)
def test_a_state_of_another_stream_is_refused(other: Resampler) -> None:
    with pytest.raises(ConfigError, match="keep it to resume"):
        other.load_state_dict(make([0.5], 300).state_dict())


def test_a_large_exponent_draws_the_rarest_scores_alone() -> None:
    stream = make([400.0], 100, mos=[1.0] * 150 + [5.0] * 2, max_repeats=None)
    assert set(stream) == {150, 151}
    assert stream.expected(0).sum() == pytest.approx(100)


def test_seeds_differ() -> None:
    assert list(make([0.5], 100, seed=1)) != list(make([0.5], 100, seed=2))
    first, second = (list(make([1.0], 100, mos=[3.0] * 100, seed=seed)) for seed in (1, 2))  # each image once
    assert first != second


def test_unusable_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="exponents"):
        make([], 10)
    with pytest.raises(ConfigError, match="exponents"):
        make([-1.0], 10)
    with pytest.raises(ConfigError, match="exponents"):
        make([0.0, float("nan")], 10)
    with pytest.raises(ConfigError, match="bins=0"):
        make([0.0], 10, bins=0)
    with pytest.raises(ConfigError, match="max_repeats=0"):
        make([0.0], 10, max_repeats=0)
    with pytest.raises(DataError, match="empty"):
        make([0.0], 10, mos=[])
