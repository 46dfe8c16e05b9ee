"""Files that git-lfs has not fetched: a few lines of text stand in their place."""

from __future__ import annotations

from pathlib import Path

LFS_POINTER = "version https://git-lfs.github.com/spec/"
LFS_SAID = "is a git-lfs pointer, not the file itself; fetch that with `git lfs pull`"


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file that exists is one."""
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER.encode()
