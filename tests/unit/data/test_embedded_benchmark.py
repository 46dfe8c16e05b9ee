"""The embedded set as a benchmark: the images it has always been judged on, and as many of them as asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.embedded.benchmark import EmbeddedBenchmark
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.photographs import PIXELS, load_photograph, photographs


@pytest.fixture(scope="module")
def benchmark() -> EmbeddedBenchmark:
    made = load_benchmark("embedded", [])
    assert isinstance(made, EmbeddedBenchmark)
    return made


def judged(split: str, size: int) -> EmbeddedSet:
    """As every figure so far was measured on."""
    return EmbeddedSet(
        split=split,
        size=size,
        seed=0,
        local_fraction=0.25,
        pristine_fraction=0.03,
        procedural_fraction=0.0,
        continuous_levels=False,
        augmented=False,
        references=None,
    )


@pytest.mark.parametrize(("split", "size", "all_of_it"), [("test", None, 340), ("val", None, 150), ("test", 5, 5)])
def test_images_are_those_that_figures_were_measured_on(
    split: str, size: int | None, all_of_it: int, benchmark: EmbeddedBenchmark
) -> None:
    found, expected = benchmark.images(split, max_pixels=None, upright=True, size=size), judged(split, all_of_it)
    assert found.items() == expected.items()
    assert np.array_equal(np.asarray(found[3].image), np.asarray(expected[3].image))


def test_ten_images_of_each_photograph(benchmark: EmbeddedBenchmark) -> None:
    for split, size in benchmark.sizes.items():
        assert size == 10 * sum(where == split for where in photographs().values())


def test_every_photograph_has_the_pixels_it_is_said_to_have() -> None:
    assert {load_photograph(name).size for name in photographs()} == {3 * PIXELS}


def test_what_cannot_be_made_is_refused(benchmark: EmbeddedBenchmark) -> None:
    with pytest.raises(ConfigError, match="split='all': the embedded set has train, val, test"):
        benchmark.images("all", max_pixels=None, upright=True, size=None)
    with pytest.raises(ConfigError, match="max_pixels=1000: the embedded set is made with 196,608; use that or more"):
        benchmark.images("test", max_pixels=1000, upright=True, size=None)
    with pytest.raises(ConfigError, match="size=0 must be a whole number of at least 1; null takes as many as"):
        benchmark.images("test", max_pixels=None, upright=True, size=0)
    with pytest.raises(ConfigError, match="split='dev'"):
        replace(benchmark, evaluation_split="dev")
