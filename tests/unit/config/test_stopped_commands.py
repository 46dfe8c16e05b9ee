"""A command that a signal stops ends with one line, the command that continues it, and 128 + the signal's number."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from zoom_iqa.base.errors import ConfigError, StoppedError, TrainingError
from zoom_iqa.config import commands
from zoom_iqa.config.commands import expected_errors, run_command
from zoom_iqa.config.go_on import begun_with, go_on_command, names_its_folder, quoted, tell_jobs


def stopped_in(code: Callable[[], None]) -> int:
    with pytest.raises(SystemExit) as ended, expected_errors(go_on=lambda: "the command"):
        code()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_how_to_go_on(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    def stop() -> None:
        raise StoppedError(number)

    assert stopped_in(stop) == 128 + number
    assert capsys.readouterr().err == f"stopped by {number.name}; to go on: the command\n"


def test_a_stop_that_code_fails_to_clean_up_behind_is_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        try:
            raise StoppedError(signal.SIGTERM)
        except StoppedError:
            raise ConfigError("half made")  # noqa: B904  # as unaware code does

    assert stopped_in(fail) == 143
    assert capsys.readouterr().err == "stopped by SIGTERM; to go on: the command\n"


def test_while_a_command_is_imported_too() -> None:
    code = "import os; from zoom_iqa.config.late import quiet_interrupt as q\nwith q(): os.kill(os.getpid(), 2)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "stopped by SIGINT\n")


@pytest.mark.parametrize("value", ["runs/a_b-1.2", "it's", "a b", "a,b", "${x}", "ü", 'a"b\\c\\', "a=b"])
def test_quoted_values_are_read_as_they_are(value: str) -> None:
    if value == "${x}":  # an interpolation even in quotes, unless escaped
        assert quoted(value) == r"'\${x}'"
        return
    (override,) = OverridesParser.create().parse_overrides([f"key={quoted(value)}"])
    assert str(override.value()) == value


def test_the_command_that_continues_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # another test of this process may have begun a multirun
    monkeypatch.setattr("sys.argv", ["train.py", "+experiment=quickstart", "grpo.steps=20"])
    assert not names_its_folder()
    begun = "python -m zoom_iqa.train +experiment=quickstart grpo.steps=20"
    assert go_on_command(Path("runs/a/b")) == f"{begun} paths.run_dir=runs/a/b"
    monkeypatch.setattr("sys.argv", ["train.py", "paths.run_dir=runs/c", "+experiment=quickstart", "grpo.steps=20"])
    assert names_its_folder()
    assert go_on_command(Path("runs/c")) == f"{begun} paths.run_dir=runs/c"
    assert go_on_command(Path("runs/c d")).endswith(""" 'paths.run_dir='"'"'runs/c d'"'"''""")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert go_on_command(Path("runs/c")).startswith("torchrun --nproc-per-node 8 -m zoom_iqa.train ")


@pytest.mark.parametrize(
    ("begun", "continued"),
    [
        ("seed=1 --config-dir mine", "seed=1 paths.run_dir=runs/a --config-dir mine"),
        ("--config-dir mine seed=1 ~reward.rank", "--config-dir mine seed=1 '~reward.rank' paths.run_dir=runs/a"),
        ("--config-dir mine", "--config-dir mine paths.run_dir=runs/a"),
    ],
)
def test_the_command_that_continues_a_run_has_its_keys_on_one_side_of_flags(
    begun: str, continued: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    monkeypatch.setattr("sys.argv", ["train.py", *begun.split()])
    assert go_on_command(Path("runs/a")) == f"python -m zoom_iqa.train {continued}"


def test_a_job_that_slurm_runs_knows_the_command_of_its_multirun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOM_IQA_MULTIRUN", "")
    monkeypatch.setattr("sys.argv", ["train.py", "-m", "seed=0,1"])
    tell_jobs(Path("runs/sweep"))
    monkeypatch.setattr("sys.argv", ["_submit.py", ".submitit/1234"])
    for folder, arguments in (("runs/sweep", ["-m", "seed=0,1"]), ("runs/other", [".submitit/1234"])):
        job = OmegaConf.create({"hydra": {"mode": RunMode.MULTIRUN, "sweep": {"dir": folder}}})
        monkeypatch.setattr(HydraConfig.instance(), "cfg", job)
        assert begun_with() == arguments
    monkeypatch.setattr(HydraConfig.instance().cfg.hydra.sweep, "dir", "runs/sweep")
    assert go_on_command(Path("unused")) == "python -m zoom_iqa.train -m seed=0,1 hydra.sweep.dir=runs/sweep"


@pytest.mark.parametrize(
    ("error", "done"),
    [
        (None, True),
        (StoppedError(signal.SIGTERM), True),
        (TrainingError("ten steps in a row"), True),
        (ConfigError("of one process"), False),
    ],
    ids=["the end", "a stop", "an agreed error", "an error of its own"],
)
def test_only_an_end_that_all_have_come_to_is_told_to_the_others(
    error: Exception | None, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(commands, "leave_watch", lambda *, done: told.append(done))

    def command() -> None:
        if error is not None:
            raise error

    with suppress(SystemExit):
        run_command(command)
    assert told == [done]
