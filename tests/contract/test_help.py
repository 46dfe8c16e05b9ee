"""``--help`` of every command fits a screen and shows a command that runs; a wrong flag is one line."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_line import Ended, run_module

COMMANDS = {
    "train": "zoom_iqa.train",
    "evaluate": "zoom_iqa.evaluate",
    "evaluate_peer": "zoom_iqa.evaluate_peer",
    "data check": "zoom_iqa.data",
    "report": "zoom_iqa.report",
    "curate": "zoom_iqa.curate",
    "judge": "zoom_iqa.judge",
    "assess": "zoom_iqa.assess",
    "guide": "zoom_iqa.guide",
    "demo": "zoom_iqa.demo",
    "export": "zoom_iqa.export",
    "serve": "zoom_iqa.serve",
    "plan": "zoom_iqa.plan",
    "make_tiny_policy": "zoom_iqa.make_tiny_policy",
}
LINES, COLUMNS = 24, 80
FULL = Path("/dev/full")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs ``python -m MODULE ARGUMENTS`` in this process."""
    return lambda module, *arguments: run_module(module, list(arguments), monkeypatch, capsys)


def words(command: str) -> list[str]:
    return command.split()[1:]  # "check" of "data check"


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_shows_a_command(command: str, flag: str, typed: Callable[..., Ended]) -> None:
    ended = typed(COMMANDS[command], *words(command), flag)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert lines[0].startswith("usage: ")
    assert module_of(example_of(ended.out))[0] == COMMANDS[command]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.parametrize("unbuffered", ["", "1"])  # it fails while help is written, or at the end
def test_help_that_cannot_be_written_is_one_line(command: str, unbuffered: str) -> None:
    asked = [sys.executable, "-m", COMMANDS.get(command, "zoom_iqa"), *words(command), "--help"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONUNBUFFERED": unbuffered}
    with FULL.open("wb") as full:
        ended = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    said = "error: the output cannot be written: No space left on device; make room or write elsewhere\n"
    assert (ended.returncode, ended.stderr) == (2, said)


@pytest.mark.parametrize("command", ["assess", "guide"])
def test_help_fits_from_a_folder_below_any_other(
    command: str, typed: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path.joinpath(*"abcdefghij")
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)  # the photograph of the example has its longest name here
    ended = typed(COMMANDS[command], "--help")
    name = max(example_of(ended.out), key=len)
    assert Path(name).is_file()
    assert max(map(len, ended.out.splitlines())) <= max(COLUMNS, len(f"  zoom-iqa {command} {name} \\"))
    assert len(ended.out.splitlines()) <= LINES


def example_of(text: str) -> list[str]:
    (example,) = re.findall(r"^example:\n  ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return shlex.split(example.replace("\\\n", " "))


def module_of(example: list[str]) -> tuple[str, list[str]]:
    """The module that ``python -m MODULE ...`` or ``zoom-iqa NAME ...`` runs, and its arguments."""
    if example[0] == "zoom-iqa":
        return f"zoom_iqa.{example[1]}", example[2:]
    assert example[:2] == ["python", "-m"]
    return example[2], example[3:]


@pytest.mark.parametrize(
    "command", ["evaluate", "evaluate_peer", "data check", "report", "assess", "guide", "curate", "plan"]
)
def test_examples_run(
    command: str, typed: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example = example_of(typed(COMMANDS[command], *words(command), "--help").out)
    module, arguments = module_of(example)
    ended = typed(module, *arguments)
    assert ended.status == 0, ended.err
    assert ended.out


@pytest.mark.parametrize("command", ["train", "make_tiny_policy"])
def test_examples_that_take_longer_compose(command: str, typed: Callable[..., Ended]) -> None:
    example = example_of(typed(COMMANDS[command], "--help").out)
    ended = typed(*example[2:], "--cfg", "job")
    assert ended.status == 0, ended.err
    assert f"name: {'quickstart' if command == 'train' else command}\n" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flags", [["--experiment", "x"], ["--experiment=x"], ["-x"]], ids=" ".join)
def test_a_wrong_flag_is_one_line(command: str, flags: list[str], typed: Callable[..., Ended]) -> None:
    ended = typed(COMMANDS[command], *words(command), *flags)
    assert ended.status == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


def test_a_flag_without_its_value_is_one_line(typed: Callable[..., Ended]) -> None:
    ended = typed("zoom_iqa.train", "--cfg")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--cfg" in ended.err
