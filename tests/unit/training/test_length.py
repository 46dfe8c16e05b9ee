"""A stage's length in steps, whichever way it is given, and that it does not grow with the number of processes."""

from __future__ import annotations

from typing import Any

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.training.length import Length


def length(**given: Any) -> Length:
    return Length(**{"steps": None, "epochs": None, "images": None, "otherwise_images": 1280, **given})


@pytest.mark.parametrize(
    ("given", "processes", "steps"),
    [
        ({}, 1, 80),
        ({}, 8, 10),
        ({"images": 1281}, 1, 81),
        ({"images": 1}, 8, 1),
        ({"epochs": 2}, 1, 883),  # 2 x 7,058 / 16 = 882.25
        ({"epochs": 2}, 8, 111),
        ({"epochs": 0.5}, 1, 221),
        ({"steps": 80}, 1, 80),
        ({"steps": 80}, 8, 80),  # asked for: eight times the images
        ({"steps": 8e1}, 1, 80),  # as Hydra reads grpo.steps=8e1
        ({"images": 1.281e3}, 1, 81),
    ],
)
def test_steps_of_sixteen_images_a_process_over_koniq(given: dict[str, Any], processes: int, steps: int) -> None:
    found = length(**given).in_steps(samples=7058, per_step=16 * processes)
    assert found == steps
    assert isinstance(found, int), "a sampler counts by it"


@pytest.mark.parametrize(
    ("epochs", "samples", "per_step", "steps"), [(1.1, 100, 10, 11), (0.55, 100, 5, 11), (0.07, 100, 1, 7)]
)
def test_decimals_of_epochs_make_no_step_of_rounding(epochs: float, samples: int, per_step: int, steps: int) -> None:
    assert length(epochs=epochs).in_steps(samples=samples, per_step=per_step) == steps


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 3, "epochs": 1.5}, r"steps=3 and epochs=1.5: a stage's length is one of steps, epochs and images"),
        ({"epochs": 1, "images": 5}, r"epochs=1 and images=5"),
        ({"steps": 0}, r"steps=0 must be a whole number of at least 1"),
        ({"images": -1}, r"images=-1 must be a whole number"),
        ({"epochs": 0.0}, r"epochs=0.0 must be a number above 0"),
        ({"epochs": float("inf")}, r"epochs=inf must be a number above 0"),
        ({"otherwise_images": 0}, r"otherwise_images=0 must be"),
    ],
)
def test_lengths_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        length(**given)
