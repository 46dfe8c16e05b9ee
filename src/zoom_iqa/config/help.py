"""The text of ``--help``: usage, what can be given, and an example that runs as it stands; no longer than a screen."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import zoom_iqa
from zoom_iqa.config.location import conf_dir

EVALUATE_USAGE = "python -m zoom_iqa.evaluate policy.path=FOLDER_OR_HUB_ID benchmark=NAME[,NAME...] [key=value ...]"
EVALUATE_PEER_USAGE = "python -m zoom_iqa.evaluate_peer peer=NAME benchmark=NAME[,NAME...] [key=value ...]"
CURATE_USAGE = "zoom-iqa curate generator.model=NAME benchmark=NAME out=FOLDER [key=value ...]"
JUDGE_USAGE = "zoom-iqa judge [NAME=]PREDICTIONS ... judge.model=NAME benchmark=NAME out=FOLDER [key=value ...]"
CHECK_USAGE = "python -m zoom_iqa.data check benchmark=NAME[,NAME...] [root=FOLDER] [key=value ...]"
"""Usages that errors repeat."""

OF_PAIRS = "compare"
"""The task that asks about two images."""
WIDTH = 80
_LEAST_INDENT = 16
_FAMILY = 4  # names that begin alike are shown as one from so many on


def help_of(usage: str, *, summary: str, given: Mapping[str, str], example: str) -> str:
    """The whole text; ``given`` has what can be given and what it means."""
    indent = max([_LEAST_INDENT, *(len(key) + 4 for key in given)])
    rows = [
        textwrap.fill(
            meaning,
            WIDTH,
            initial_indent=f"  {key:<{indent - 3}} ",
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        )
        for key, meaning in given.items()
    ]
    usage = textwrap.fill(f"usage: {usage}", WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False)
    shown = _folded(f"  {example}")
    return "\n".join([usage, "", textwrap.fill(summary, WIDTH), "", *rows, "", "example:", shown, ""])


def _folded(command: str) -> str:
    """A command in lines that a shell reads as one; cut before options alone, since names may hold spaces."""
    if len(command) <= WIDTH:
        return command
    first, *options = command.split(" --")
    return " \\\n      --".join([first, *options])


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for its help."""
    return not {"-h", "--help"}.isdisjoint(arguments)


def choices(group: str) -> str:
    """The names of conf/``group``/*.yaml; many that begin alike, such as the rows of a table, are one with a star."""
    names = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    sizes = Counter(name.partition("_")[0] for name in names)
    shown = (f"{first}_*" if sizes[first := name.partition("_")[0]] >= _FAMILY else name for name in names)
    return " ".join(dict.fromkeys(shown))


def rating_tasks() -> str:
    """The names of conf/task/*.yaml that rate one image."""
    return " ".join(name for name in choices("task").split() if name != OF_PAIRS)


def photograph(name: str) -> str:
    """A photograph of the embedded set as a command line names it, from the working folder where that is shorter."""
    path = Path(zoom_iqa.__file__).parent / "assets" / "photographs" / f"{name}.jpg"
    return shlex.quote(min(str(path), os.path.relpath(path), key=len))
