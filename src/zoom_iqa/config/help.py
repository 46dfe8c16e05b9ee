"""The text of ``--help``: usage, what can be given, and an example that runs as it stands; no longer than a screen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from zoom_iqa.config.location import conf_dir

WIDTH = 80
_INDENT = 16


def help_of(usage: str, *, summary: str, given: Mapping[str, str], example: str) -> str:
    """The whole text; ``given`` has what can be given and what it means."""
    rows = [
        textwrap.fill(
            meaning,
            WIDTH,
            initial_indent=f"  {key:<{_INDENT - 3}} ",
            subsequent_indent=" " * _INDENT,
            break_on_hyphens=False,
        )
        for key, meaning in given.items()
    ]
    usage = textwrap.fill(f"usage: {usage}", WIDTH, subsequent_indent=" " * 7, break_on_hyphens=False)
    return "\n".join([usage, "", textwrap.fill(summary, WIDTH), "", *rows, "", "example:", f"  {example}", ""])


def choices(group: str) -> str:
    """The names of conf/``group``/*.yaml."""
    return " ".join(sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")))
