"""The folder of the checkpoint that the package ships."""

from __future__ import annotations

from pathlib import Path

import zoom_iqa

ADVICE = (
    "rating with the small policy shipped with the package: it was made to try things out, and knows photographs with "
    "synthetic distortions (README says how well); --policy takes another"
)
_MADE_FOR = ("zoom", "zoom_released")


def advice(task: str | None) -> str:
    """A line for those who name no policy, and perhaps a task that the shipped one has not learned."""
    if task is None or task in _MADE_FOR:
        return ADVICE
    return f"{ADVICE}; it has learned --task zoom and not --task {task}, so that its answers to that say little"


def shipped_policy_folder() -> Path:
    """The shipped checkpoint, in transformers' layout."""
    return Path(zoom_iqa.__file__).parent / "assets" / "tiny_policy"
