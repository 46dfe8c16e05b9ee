"""Command lines that are not Hydra's: options typed by typer, help on one screen, a mistake in one line.

Nothing here imports torch, so that help comes at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from zoom_iqa.config.help import help_of


def run_options(function: Callable[..., Any], *, name: str, summary: str, example: str) -> None:
    """Call ``function`` with what the command line gives for its annotated parameters, or print their help."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "obj": (summary, example)}
    app.command(cls=_OneScreen, context_settings=settings)(function)
    try:
        typer.main.get_command(app).main(prog_name=f"zoom-iqa {name}", standalone_mode=False)
    except typer.TyperException as error:
        message = getattr(error, "format_message", error.__str__)()
        print(f"error: {' '.join(message.split())} (zoom-iqa {name} --help shows what can be given)", file=sys.stderr)
        sys.exit(2)


class _OneScreen(TyperCommand):
    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """The project's own layout."""
        summary, example = ctx.obj
        shown = [parameter for parameter in self.get_params(ctx) if parameter.name != "help"]
        given = {_key(parameter): parameter.help or "" for parameter in shown}  # type: ignore[attr-defined]
        arguments = " ".join(key for key in given if not key.startswith("-"))
        usage = " ".join(filter(None, (ctx.command_path, arguments, "[OPTION ...]")))
        return help_of(usage, summary=summary, given=given, example=example).rstrip("\n")


def _key(parameter: Any) -> str:
    """As it is typed: an option with the name of its value, an argument by its own."""
    if not parameter.opts[0].startswith("-"):
        return str(parameter.metavar)
    return parameter.opts[-1] + (f" {parameter.metavar}" if parameter.metavar and not parameter.is_flag else "")
