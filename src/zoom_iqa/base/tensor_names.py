"""Tensors that fit a model: none missing, none left over, each of its shape; else all of it is named in one line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from zoom_iqa.base.errors import CheckpointError

SHOWN = 3
Shapes = Mapping[str, tuple[int, ...]]


def require_fit(expected: Shapes, found: Shapes, *, where: str) -> None:
    """Pass the tensors ``found`` in a checkpoint if they are those that the model has, by name and shape.

    Raises:
        CheckpointError: naming tensors that are missing, under another name, left over, or of another shape.
    """
    missing = [name for name in expected if name not in found]
    left_over = [name for name in found if name not in expected]
    renamed: list[str] = []
    for name in list(missing):
        alike = [other for other in left_over if found[other] == expected[name]]
        close = difflib.get_close_matches(name, alike, n=1)
        if close:
            renamed.append(f"{name} is there as {close[0]}")
            missing.remove(name)
            left_over.remove(close[0])
    reshaped = [
        f"{name} is {list(found[name])} where the policy has {list(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    kinds = (("missing", missing), ("renamed", renamed), ("left over", left_over), ("of another shape", reshaped))
    wrong = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]
    if wrong:
        raise CheckpointError(f"{where}: its tensors do not fit the policy; {'; '.join(wrong)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
