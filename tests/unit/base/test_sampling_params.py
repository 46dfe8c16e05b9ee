"""Sampling parameters out of range, and those that would bias training, are refused by name."""

from __future__ import annotations

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.sampling import SamplingParams


def params(**changes: object) -> SamplingParams:
    values = {
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "greedy": False,
        "max_new_tokens": 8,
        "stop_strings": (),
        **changes,
    }
    return SamplingParams(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0.0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("max_new_tokens", 0),
        ("stop_strings", [""]),
    ],
)
def test_values_out_of_range_are_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"sampling.{key}"):
        params(**{key: value})


def test_truncated_sampling_is_refused_for_training() -> None:
    params(temperature=0.7).require_unbiased()
    with pytest.raises(ConfigError, match=r"top_p=0\.95 .*top_k=50"):
        params(top_p=0.95, top_k=50).require_unbiased()
    with pytest.raises(ConfigError, match="greedy=True"):
        params(greedy=True).require_unbiased()
