"""A file is there whole or as it was before, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from zoom_iqa.base.atomic_files import whole_binary_file, whole_text_file

KINDS: list[Any] = [(whole_text_file, "é\n1\r\n"), (whole_binary_file, b"\x00\n\xff")]


def content(path: Path, like: str | bytes) -> str | bytes:
    return path.read_bytes() if isinstance(like, bytes) else path.read_bytes().decode("utf-8")


@pytest.mark.parametrize(("writer", "written"), KINDS)
def test_it_holds_what_was_written_and_stands_alone(writer: Any, written: Any, tmp_path: Path) -> None:
    for _ in range(2):  # a new file, and in place of an old one
        with writer(tmp_path / "file") as file:
            file.write(written)
    assert content(tmp_path / "file", written) == written
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("writer", "written"), KINDS)
def test_nothing_is_seen_of_it_before_the_end(writer: Any, written: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with writer(path) as file:
        file.write(written)
        file.flush()
        assert path.read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize(("writer", "written"), KINDS)
def test_a_failure_midway_leaves_the_old_file_alone(
    writer: Any, written: Any, error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with writer(path) as file:
            file.write(written)
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_so_does_a_failure_at_the_end(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="no space"), whole_text_file(path) as file:
        file.write("new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".file.part").write_text("half of a much longer text")
    with whole_text_file(tmp_path / "file") as file:
        file.write("new")
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_others_may_read_it(tmp_path: Path) -> None:
    with whole_text_file(tmp_path / "file") as file:
        file.write("x")
    (tmp_path / "plain").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
