"""A job that SLURM has warned is queued again, if it then goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from zoom_iqa.base.errors import StoppedError
from zoom_iqa.parallel.slurm import requeued


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program of that name writes its arguments."""
    program = tmp_path / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    return tmp_path / "said"


def stopped_by(number: signal.Signals, *, same_folder: bool = True) -> None:
    with pytest.raises(StoppedError), requeued(same_folder=same_folder):
        raise StoppedError(number)


def test_it_asks_for_its_job(scontrol: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped_by(signal.SIGUSR1)
    assert scontrol.read_text() == "requeue 77\n"
    assert capsys.readouterr().err == "requeued as job 77\n"


def test_of_an_array_for_its_task(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    stopped_by(signal.SIGUSR1)
    assert scontrol.read_text() == "requeue 70_3\n"


def test_not_where_it_would_begin_anew_nor_for_another_signal(
    scontrol: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_by(signal.SIGTERM)
    assert capsys.readouterr().err == ""
    stopped_by(signal.SIGUSR1, same_folder=False)
    assert capsys.readouterr().err.startswith("not requeued: the job would begin anew; give paths.run_dir=FOLDER")
    assert not scontrol.exists()


def test_without_scontrol_it_says_so(capsys: pytest.CaptureFixture[str], scontrol: Path) -> None:
    scontrol.with_name("scontrol").unlink()
    stopped_by(signal.SIGUSR1)
    assert capsys.readouterr().err == "not requeued: scontrol: No such file or directory\n"
