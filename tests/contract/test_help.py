"""``--help`` of every command fits a screen and shows a command that runs; a wrong flag is one line."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from dataclasses import dataclass

import pytest
from hydra.core.global_hydra import GlobalHydra

COMMANDS = {
    "train": "zoom_iqa.train",
    "evaluate": "zoom_iqa.evaluate",
    "evaluate_peer": "zoom_iqa.evaluate_peer",
    "data check": "zoom_iqa.data",
    "report": "zoom_iqa.report",
    "make_tiny_policy": "zoom_iqa.make_tiny_policy",
}
LINES, COLUMNS = 24, 80


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``python -m MODULE ARGUMENTS`` in this process."""

    def run(module: str, *arguments: str) -> Ended:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        name = f"{module}.__main__" if module == "zoom_iqa.data" else module
        monkeypatch.delitem(sys.modules, name, raising=False)
        capsys.readouterr()
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return run


def words(command: str) -> list[str]:
    return command.split()[1:]  # "check" of "data check"


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen_and_shows_a_command(command: str, flag: str, typed) -> None:
    ended = typed(COMMANDS[command], *words(command), flag)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert lines[0].startswith("usage: ")
    assert example_of(ended.out)[:3] == ["python", "-m", COMMANDS[command]]


def example_of(text: str) -> list[str]:
    (example,) = re.findall(r"^example:\n  (.*)$", text, re.MULTILINE)
    return shlex.split(example)


@pytest.mark.parametrize("command", ["evaluate", "evaluate_peer", "data check", "report"])
def test_examples_run(command: str, typed, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    example = example_of(typed(COMMANDS[command], *words(command), "--help").out)
    ended = typed(*example[2:])
    assert ended.status == 0, ended.err
    assert ended.out


@pytest.mark.parametrize("command", ["train", "make_tiny_policy"])
def test_examples_that_take_longer_compose(command: str, typed) -> None:
    example = example_of(typed(COMMANDS[command], "--help").out)
    ended = typed(*example[2:], "--cfg", "job")
    assert ended.status == 0, ended.err
    assert f"name: {'quickstart' if command == 'train' else command}\n" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flags", [["--experiment", "x"], ["--experiment=x"], ["-x"]], ids=" ".join)
def test_a_wrong_flag_is_one_line(command: str, flags: list[str], typed) -> None:
    ended = typed(COMMANDS[command], *words(command), *flags)
    assert ended.status == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


def test_a_flag_without_its_value_is_one_line(typed) -> None:
    ended = typed("zoom_iqa.train", "--cfg")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--cfg" in ended.err
