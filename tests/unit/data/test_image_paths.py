"""Names of a command line become files: folders searched whole, globs, each file once, and nothing dropped silently."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.data.image_paths import SUFFIXES, UNREAD, image_paths, unread_below
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


def test_an_empty_name_is_not_the_working_folder(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a name is empty, as that of an unset variable is; name a file, or \. for"):
        image_paths(["a.png", ""])


def test_a_name_that_the_system_refuses_is_kept_for_its_turn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * 300 + ".png"
    assert image_paths([long, "a.png"]) == [long, "a.png"]
    stat = os.stat

    def refused(path: str | Path, **flags: object) -> os.stat_result:
        if "locked" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **flags)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refused)
    assert image_paths(["locked/a.png", "b.JPG"]) == ["locked/a.png", "b.JPG"]


def test_every_format_that_is_read_has_a_suffix() -> None:
    typical = dict(zip(FORMATS, ("jpg", "png", "bmp", "gif", "tif", "webp", "avif", "jp2", "ppm"), strict=True))
    assert {f".{suffix}" for suffix in typical.values()} <= set(SUFFIXES)


def test_a_folder_that_may_not_be_entered_and_a_link_to_nothing_are_kept_for_their_turn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refused(path: str | Path) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    os.symlink("gone.jpg", "sub/broken.jpg")
    assert image_paths(["sub"]) == ["sub/[1].gif", "sub/broken.jpg", "sub/deep"]


def test_photographs_of_kinds_that_cannot_be_read_are_counted(folder: Path) -> None:
    for name in ("sub/IMG_1.HEIC", "sub/deep/raw.cr2", "sub/.hidden.dng"):
        Path(name).touch()
    assert sorted(unread_below(["sub", "notes.txt", "nowhere"])) == ["sub/IMG_1.HEIC", "sub/deep/raw.cr2"]
    assert "sub/IMG_1.HEIC" not in image_paths(["sub"])
    assert not set(UNREAD) & set(SUFFIXES)
