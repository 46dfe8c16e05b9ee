"""Names of a command line become files: folders searched whole, globs, each file once, and nothing dropped silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoom_iqa.data.image_paths import SUFFIXES, image_paths
from zoom_iqa.data.images import FORMATS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.JPG", "a.png", "notes.txt", "sub/deep/c.webp", "sub/[1].gif", ".hidden.png", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "named.png").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["."], ["a.png", "b.JPG", "sub/[1].gif", "sub/deep/c.webp"]),
        (["sub", "sub/deep/c.webp"], ["sub/[1].gif", "sub/deep/c.webp"]),
        (["b.JPG", "a.png", "./b.JPG", "b.JPG"], ["b.JPG", "a.png", "./b.JPG"]),
        (["notes.txt"], ["notes.txt"]),
        (["*.png"], ["a.png"]),  # a folder that a glob matches stands for the images in it
        (["**/*.webp"], ["sub/deep/c.webp"]),
        (["sub/[1].gif"], ["sub/[1].gif"]),
        (["s*"], ["sub/[1].gif", "sub/deep/c.webp"]),
        (["*.bmp", "nowhere.png", "empty"], ["*.bmp", "nowhere.png", "empty"]),
        ([".cache", ".hidden.png"], [".cache/d.png", ".hidden.png"]),
    ],
)
def test_what_names_mean(names: list[str], files: list[str], folder: Path) -> None:
    assert image_paths(names) == files


def test_every_format_that_is_read_has_a_suffix() -> None:
    typical = dict(zip(FORMATS, ("jpg", "png", "bmp", "gif", "tif", "webp", "avif", "jp2", "ppm"), strict=True))
    assert {f".{suffix}" for suffix in typical.values()} <= set(SUFFIXES)
