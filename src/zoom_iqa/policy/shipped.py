"""The folder of the checkpoint that the package ships."""

from __future__ import annotations

from pathlib import Path

import zoom_iqa

ADVICE = (
    "rating with the small policy shipped with the package: it was made to try things out, and knows photographs with "
    "synthetic distortions (README says how well); --policy takes another"
)
"""Said to those who name no policy."""


def shipped_policy_folder() -> Path:
    """The shipped checkpoint, in transformers' layout."""
    return Path(zoom_iqa.__file__).parent / "assets" / "tiny_policy"
