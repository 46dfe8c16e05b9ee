"""A file is there whole or as it was before, whatever happens while it is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from zoom_iqa.base.atomic_files import remove_parts, whole_binary_file, whole_folder, whole_text_file

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


def test_a_file_that_others_may_not_read_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    with whole_text_file(path) as file:
        file.write("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


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
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    said = rf"No space left on device: '{path}'" if call == "fsync" else "No space left on device"
    with pytest.raises(OSError, match=said), whole_text_file(path) as file:
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


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_the_file_before_is_kept_where_asked_for(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError("not supported")

    if not links:
        monkeypatch.setattr(os, "link", none)
    path, before = tmp_path / "file", tmp_path / "before"
    for content in (b"1", b"2", b"3"):
        with whole_binary_file(path, before=before) as file:
            file.write(content)
    assert (path.read_bytes(), before.read_bytes()) == (b"3", b"2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "file"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_folder_appears_whole_and_is_read_by_whom_the_umask_says(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with whole_folder(tmp_path / "a" / "policy") as folder:
            (folder / "below").mkdir(mode=0o700)
            for place in (folder / "weights", folder / "below" / "more"):
                place.touch(mode=0o600)
            assert not (tmp_path / "a" / "policy").exists()
    finally:
        os.umask(before)
    for place in (tmp_path / "a" / "policy", *(tmp_path / "a" / "policy").rglob("*")):
        assert place.stat().st_mode & 0o777 == (0o777 if place.is_dir() else 0o666) & ~umask
    assert {place.name for place in (tmp_path / "a").iterdir()} == {"policy"}


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with whole_folder(tmp_path / "policy") as folder:
            (folder / "weights").touch()
            raise ValueError("full")

    (tmp_path / ".policy.part").mkdir()  # of a process that was killed
    (tmp_path / ".policy.part" / "half").touch()
    with pytest.raises(ValueError, match="full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_halves_are_removed_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "a" / ".policy.part").mkdir(parents=True)
    (tmp_path / "a" / ".policy.part" / ".more.part").touch()
    (tmp_path / "a" / ".last.ckpt.part").touch()
    kept = tmp_path / "a" / "last.ckpt.part"
    kept.touch()
    remove_parts(tmp_path)
    assert list((tmp_path / "a").iterdir()) == [kept]


@pytest.mark.parametrize(("writer", "written"), KINDS)
def test_a_pipe_is_written_to_and_stays_a_pipe(writer: Any, written: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with writer(pipe) as file:
        file.write(written)
    got = os.read(reader, 100)
    os.close(reader)
    assert got == (written if isinstance(written, bytes) else written.encode())
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_full_device_is_said_and_stays_a_device() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught, whole_text_file(full) as file:
        file.write("text")
    assert caught.value.filename == str(full)
    assert full.is_char_device()


@pytest.mark.parametrize(("writer", "written"), KINDS)
def test_a_link_stays_and_the_file_it_leads_to_is_replaced(writer: Any, written: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "file", tmp_path / "link"
    link.symlink_to(target)
    for _ in range(2):  # the file is not there yet, then it is
        with writer(link) as file:
            file.write(written)
        assert link.is_symlink()
        assert content(target, written) == written
    assert {path.name for path in tmp_path.rglob("*")} == {"there", "file", "link"}
