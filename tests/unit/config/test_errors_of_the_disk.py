"""Errors of the disk end a command in one line that names the file and what to do."""

from __future__ import annotations

import errno
import os

import pytest

from zoom_iqa.config.commands import expected_errors


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room, then go on: AGAIN"),
        (errno.EROFS, "make it writable, then go on: AGAIN"),
        (errno.ENAMETOOLONG, "give a shorter name"),  # the same command would end the same
    ],
)
def test_one_line(number: int, remedy: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, expected_errors(go_on=lambda: "AGAIN"):
        raise OSError(number, os.strerror(number), "a\x1b[2Jb")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: a\\x1b[2Jb: {os.strerror(number)}; {remedy}\n"


def test_others_keep_their_traceback() -> None:
    with pytest.raises(PermissionError), expected_errors():
        raise PermissionError(errno.EACCES, "Permission denied", "file")
