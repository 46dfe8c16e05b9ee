"""Scores of made images take another set's distribution, and regions the size that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from support.loaded_benchmark import load_benchmark
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.embedded.images import EmbeddedSet
from zoom_iqa.data.embedded.score_shape import SHARES, shaped

KONIQ = (22, 96, 218, 438, 644, 963, 1440, 2000, 1155, 82)


def made(size: int = 400, **changes: Any) -> EmbeddedSet:
    usual = {
        "split": "train", "seed": 1, "local_fraction": 0.3, "pristine_fraction": 0.03, "procedural_fraction": 0.3,
        "continuous_levels": True, "augmented": True, "references": None,
    }  # fmt: skip
    return EmbeddedSet(size=size, **(usual | changes))


def counts_of(mos: list[float]) -> list[int]:
    return [sum(1 + 0.4 * n <= score < 1.4 + 0.4 * n for score in mos) for n in range(10)]


def test_the_shares_are_those_of_the_published_training_labels(shared_dir: Any) -> None:
    """10 bins of 1-5 after the linear map that sends 1.096 to 1 and 4.310 to 5."""
    lines = (shared_dir / "labels" / "koniq10k_distributions_sets.csv").read_text().splitlines()
    header = [name.strip('"') for name in lines[0].split(",")]
    rows = [dict(zip(header, (cell.strip('"') for cell in line.split(",")), strict=True)) for line in lines[1:]]
    votes = [sum(k * float(row[f"c{k}"]) for k in range(1, 6)) for row in rows if row["set"] == "training"]
    scores = 1 + 4 * (np.array(votes) - 1.096) / (4.310 - 1.096)
    assert tuple(np.histogram(scores, bins=10, range=(1, 5))[0]) == SHARES["koniq"] == KONIQ


def test_scores_are_distributed_as_asked() -> None:
    """400 images: 400 * 22 / 7058 is 1.25, so that bins have their exact number, rounded down or up."""
    found = np.array(counts_of([one.mos for one in made(scores="koniq").items()]))
    exact = 400 * np.array(KONIQ) / 7058
    assert found.sum() == 400
    assert (np.abs(found - exact) < 1).all()


def test_low_scores_are_rarer_than_as_types_and_levels_give_them() -> None:
    natural, tailed = ([one.mos for one in made(4000, scores=scores).items()] for scores in (None, "koniq"))
    assert np.mean(np.array(tailed) < 2.2) < 0.5 * np.mean(np.array(natural) < 2.2)
    assert stats.skew(tailed) < stats.skew(natural) - 0.2  # a tail of bad images


def test_images_are_those_before_where_nothing_is_asked_for() -> None:
    assert made().recipes == made(scores=None, local_area=None).recipes
    assert made().recipes != made(scores="koniq").recipes


def test_those_left_over_go_to_the_largest_remainders() -> None:
    """Of 3 images bins 5 to 8 claim 0.41, 0.61, 0.85, 0.49: one image each for the three that claim most."""
    mos = [1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 3.5, 3.9, 4.3, 4.7]
    taken = shaped(range(10), mos, scores="koniq", size=3, rng=np.random.default_rng(0))
    assert sorted(taken) == [6, 7, 8]


def test_of_more_than_are_wanted_some_are_drawn() -> None:
    """A hundred in each bin, of which 28 are wanted of the fullest: not the first 28, nor the same."""
    mos = [1.2 + 0.4 * (number % 10) for number in range(1000)]
    drawn = [shaped(range(1000), mos, scores="koniq", size=100, rng=np.random.default_rng(seed)) for seed in (0, 1)]
    fullest = [sorted(one for one in taken if one % 10 == 7) for taken in drawn]
    assert [len(found) for found in fullest] == [28, 28]
    assert list(range(7, 287, 10)) not in fullest
    assert fullest[0] != fullest[1]


def test_a_score_that_nothing_was_made_of_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"scores=koniq: none of 100 images has a score from 1\.0 to 1\.4"):
        shaped(range(100), [3.0] * 100, scores="koniq", size=1000, rng=np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"scores=spaq: give one of koniq, or null"):
        made(scores="spaq")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_set_may_be_as_small_as_asked(size: int, seed: int) -> None:
    assert len(made(size, seed=seed, scores="koniq")) == size


def test_shares_that_give_no_image_of_a_score_name_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"pristine and distort some all over, or give data\.train\.scores=null"):
        made(100, scores="koniq", local_fraction=1.0, pristine_fraction=0.0)


def test_regions_take_the_shares_that_were_asked_for() -> None:
    areas = [r.extent[0] * r.extent[1] for r in made(3000, local_area=[0.05, 0.15]).recipes if r.extent is not None]
    assert len(areas) == 900
    assert 0.05 <= min(areas) < 0.052
    assert 0.148 < max(areas) <= 0.15


@pytest.mark.parametrize("area", [[0.1], [0.0, 0.1], [0.2, 0.1], [0.1, 0.7]])
def test_areas_that_cannot_be_are_refused(area: list[float]) -> None:
    with pytest.raises(ConfigError, match="local_area="):
        made(local_area=area)


def test_a_benchmark_has_regions_of_the_size_it_was_given() -> None:
    benchmark = load_benchmark("embedded", ["benchmark.local_area=[0.05,0.15]"])
    images = benchmark.images("test", max_pixels=None, upright=True, size=40)
    regions = [sample.example.truth.region for sample in (images[index] for index in range(40))]
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in filter(None, regions)]
    assert len(areas) == 10
    assert 0.045 < min(areas) < max(areas) < 0.155
