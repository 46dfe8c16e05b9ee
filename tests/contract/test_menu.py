"""``zoom-iqa`` is one command: its menu names what there is, comes at once, and starts what ``python -m`` would."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import zoom_iqa
from zoom_iqa import __main__ as menu

PACKAGE = Path(zoom_iqa.__file__).parent
LINES, COLUMNS = 24, 80


def run(*arguments: str, module: str = "zoom_iqa") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_the_menu_is_what_can_be_run() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__main__.py")}
    assert set(menu.COMMANDS) == {path.stem for path in PACKAGE.glob("[!_]*.py")} | rooms


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)], ids=" ".join)
def test_it_fits_a_screen_and_comes_at_once(arguments: tuple[str, ...]) -> None:
    seconds = []
    for _ in range(3):  # the least of three: other work on the machine is not the menu's
        start = time.perf_counter()
        ended = run(*arguments)
        seconds.append(time.perf_counter() - start)
        if seconds[-1] < 1:
            break
    assert min(seconds) < 1
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    for name in menu.COMMANDS:
        assert f"  {name} " in ended.stdout


def test_nothing_heavy_is_loaded_for_a_menu_or_the_help_of_options() -> None:
    code = (
        "import sys; from zoom_iqa import __main__, assess, demo, guide; "
        "print([name for name in ('torch', 'transformers', 'lightning', 'numpy') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", sorted(menu.COMMANDS))
def test_help_comes_before_what_takes_long_to_import(name: str, flag: str) -> None:
    """Modules are counted, since seconds depend on other work: torch and Lightning bring thousands."""
    code = (
        f"import runpy, sys; sys.argv = ['x', '{flag}']; runpy.run_module('zoom_iqa.{name}', run_name='__main__'); "
        "print(len(sys.modules), file=sys.stderr); "
        "print([name for name in ('torch', 'transformers', 'lightning', 'numpy') if name in sys.modules], end='')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("usage: ")
    assert ended.stdout.endswith("\n[]")
    assert int(ended.stderr) < 1000


def test_a_command_is_the_same_as_its_module() -> None:
    through, directly = run("report", "table3", "--help"), run("table3", "--help", module="zoom_iqa.report")
    assert (through.returncode, through.stdout, through.stderr) == (0, directly.stdout, "")
    refused = run("data", "check")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_errors_and_the_version() -> None:
    ended = run("asses", "x")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: 'asses': there is no such command; did you mean assess? Valid: train, ")
    assert ended.stderr.count("\n") == 1
    assert run("--version").stdout == f"{zoom_iqa.__version__}\n"


def test_it_is_installed_under_one_name() -> None:
    text = (PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    scripts = text.partition("[project.scripts]\n")[2].partition("\n\n")[0]
    assert scripts == 'zoom-iqa = "zoom_iqa.__main__:main"'
