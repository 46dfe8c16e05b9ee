"""Errors of the disk end a command in one line that names the file and what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate

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


def test_one_that_a_part_of_the_config_meets_bears_the_part_s_key(capsys: pytest.CaptureFixture[str]) -> None:
    part = {"_target_": "zoom_iqa.policy.loading.load_policy", "path": "x" * 300, "attention": "sdpa"}
    part |= {"dtype": "float32", "min_pixels": 4, "max_pixels": 8, "gradient_checkpointing": False}
    part |= {"image_cache": 1, "lora": None}
    with pytest.raises(SystemExit) as ended, expected_errors():
        instantiate({"policy": part})
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: policy: {'x' * 300}: File name too long; give a shorter name\n"


def test_others_keep_their_traceback() -> None:
    with pytest.raises(PermissionError), expected_errors():
        raise PermissionError(errno.EACCES, "Permission denied", "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_told_once_however_many_blocks_watch_the_output() -> None:
    script = """
from zoom_iqa.config.late import told_output

@told_output()
def command():
    print("a rating")

with told_output():
    command()
"""
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
    said = "error: the output cannot be written: No space left on device; make room or write elsewhere\n"
    assert (ended.returncode, ended.stderr) == (2, said)
