"""Results on standard output: names of any encoding, a full disk in one line, and nothing left to fail at exit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zoom_iqa.base.errors import OutputError
from zoom_iqa.base.standard_output import StandardOutput

FULL = Path("/dev/full")
WRITES = """
from zoom_iqa.base.errors import OutputError
from zoom_iqa.base.standard_output import StandardOutput
import sys
output = StandardOutput()
output.write("name \\udcff \\u2713\\n")
try:
    output.flush()
except OutputError as error:
    print(error, file=sys.stderr)
"""


def run(out: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", WRITES]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=environment, check=False)


def test_any_name_can_be_written() -> None:
    ended = run(subprocess.PIPE)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"name \\udcff \\u2713\n", b"")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_one_line_and_the_end_is_quiet() -> None:
    with FULL.open("wb") as full:
        ended = run(full.fileno())
    assert (ended.returncode, ended.stderr) == (
        0,
        b"the output cannot be written: No space left on device; make room or write elsewhere\n",
    )


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_told_also_after_a_library_has_passed_over_it() -> None:
    with FULL.open("w", buffering=1) as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        output = StandardOutput()
        for _ in range(2):
            with pytest.raises(OutputError, match="No space left on device"):
                output.write("text\n")


def test_it_stays_where_it_was_when_stdout_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    output = StandardOutput()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        output.write("here")
    assert capsys.readouterr().out == "here"


def test_a_closed_output_takes_everything() -> None:
    program = "from zoom_iqa.base.standard_output import StandardOutput as O; o = O(); o.write('x'); o.flush()"
    closed = subprocess.run(["sh", "-c", f'"{sys.executable}" -c "{program}" >&-'], capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
