"""Tensors of a checkpoint are those of the policy, or the error names each kind of difference."""

from __future__ import annotations

import pytest

from zoom_iqa.base.errors import CheckpointError
from zoom_iqa.base.tensor_names import require_fit

THERE = {"a.weight": (2, 3), "a.bias": (2,), "b.weight": (4, 2)}


def test_the_same_tensors_pass_in_any_order() -> None:
    require_fit(THERE, dict(reversed(THERE.items())), where="file")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"a.weight": (2, 3), "a.bias": (2,)}, "1 missing: b.weight"),
        ({**THERE, "c": (1,)}, "1 left over: c"),
        (
            {"a.weight": (2, 3), "a.bias": (2,), "b.weights": (4, 2)},
            "1 renamed: b.weight is there as b.weights",
        ),
        (  # of another shape it is no renamed one
            {"a.weight": (2, 3), "a.bias": (2,), "b.weights": (4, 3)},
            "1 missing: b.weight; 1 left over: b.weights",
        ),
        ({**THERE, "a.bias": (3,)}, "1 of another shape: a.bias is [3] where the policy has [2]"),
        ({}, "3 missing: a.weight, a.bias, b.weight"),
        ({**THERE, "c": (1,), "d": (1,), "e": (1,), "f": (1,)}, "4 left over: c, d, e, ..."),
    ],
)
def test_differences_are_named(found: dict[str, tuple[int, ...]], said: str) -> None:
    with pytest.raises(CheckpointError) as error:
        require_fit(THERE, found, where="file")
    assert str(error.value) == f"file: its tensors do not fit the policy; {said}"
