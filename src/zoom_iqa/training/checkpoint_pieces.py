"""Files beside a checkpoint that hold, a process each, the parts of what was cut up over processes when it was saved.

They are written before the checkpoint that names them, under names of their own, so that one that is there is whole:
torch.distributed.checkpoint would do with an index that is unpickled, which can run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoom_iqa.base.atomic_files import whole_binary_file

NAMES = "zoom_iqa_pieces"
"""The checkpoint's list of the files, in rank order."""
_PARTS = "parts"


def piece_names(checkpoint: Path, *, token: str, processes: int) -> list[str]:
    """The names for one save, which ``token`` tells from others."""
    return [f"{checkpoint.name}.{token}.{number}-of-{processes}" for number in range(1, processes + 1)]


def save_piece(path: Path, parts: Mapping[str, Tensor]) -> None:
    """Write this process's file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_binary_file(path) as file:
        torch.save({_PARTS: dict(parts)}, file)


def parts_in(loaded: Any) -> Mapping[str, Tensor]:
    """The parts of a file that was loaded.

    Raises:
        KeyError: it is of something else.
    """
    parts: Mapping[str, Tensor] = loaded[_PARTS]
    return parts


def remove_unnamed(folder: Path, *, named: set[str]) -> None:
    """Remove the files of saves that no checkpoint names any more, or yet."""
    for path in folder.glob("*.ckpt.*-of-*"):
        if path.name not in named:
            path.unlink(missing_ok=True)
