"""The folder of the checkpoint that the package ships."""

from __future__ import annotations

from pathlib import Path

import zoom_iqa


def shipped_policy_folder() -> Path:
    """The shipped checkpoint, in transformers' layout."""
    return Path(zoom_iqa.__file__).parent / "assets" / "tiny_policy"
