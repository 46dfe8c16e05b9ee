"""Command lines that are not Hydra's: options typed by typer, help on one screen, a mistake in one line.

Nothing here imports torch, so that help comes at once.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from zoom_iqa.base.errors import ConfigError, PolicyError
from zoom_iqa.config.help import help_of


def run_options(function: Callable[..., Any], *, name: str, summary: str, example: str) -> None:
    """Call ``function`` with what the command line gives for its annotated parameters, or print their help."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=_OneScreen, context_settings=_settings(summary, example))(function)
    try:
        typer.main.get_command(app).main(prog_name=f"zoom-iqa {name}", standalone_mode=False)
    except typer.TyperException as error:
        print(f"error: {_said(error)} (zoom-iqa {name} --help shows what can be given)", file=sys.stderr)
        sys.exit(2)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of several things a command does: a function of annotated parameters, and its help."""

    function: Callable[..., Any]
    summary: str
    example: str


def call_kind(kinds: Mapping[str, Kind], arguments: Sequence[str], *, name: str, summary: str, example: str) -> Any:
    """The result of the kind that ``arguments`` name first, for those after it; None where help was printed instead.

    Raises:
        ConfigError: there is no such kind or none is named, or an argument is wrong.
    """
    shown = f"zoom-iqa {name}"
    if not arguments:
        raise ConfigError(f"{shown}: name one of {', '.join(kinds)} (--help says what each is)")
    if arguments[0] not in kinds and not arguments[0].startswith("-"):
        from zoom_iqa.config.checks import hint  # imports Hydra

        raise ConfigError(f"{shown} {arguments[0]}: there is no such kind{hint(arguments[0], kinds)}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, cls=_Kinds)
    for word, kind in kinds.items():
        app.command(word, cls=_OneScreen, context_settings=_settings(kind.summary, kind.example))(kind.function)
    command = typer.main.get_command(app)
    command.context_settings.update(_settings(summary, example))
    try:
        result = command.main(args=list(arguments), prog_name=shown, standalone_mode=False)
    except typer.TyperException as error:
        word = f" {arguments[0]}" if arguments and arguments[0] in kinds else ""
        raise ConfigError(f"{_said(error)} ({shown}{word} --help shows what can be given)") from error
    return None if result == 0 else result


def one_of(option: str, value: str, choices: Collection[str]) -> str:
    """The value of an option that has a few.

    Raises:
        ConfigError: it is none of them.
    """
    if value not in choices:
        raise ConfigError(f"{option} {value}: choose one of {', '.join(choices)}")
    return value


_ARGUMENT = re.compile(r"(?<![\w.])(policy|samples|task|protocol|device|batch_size|config_dir)=")


@contextmanager
def named_as_options() -> Iterator[None]:
    """Within the block an error about an argument of ``Assessor`` names it as it is typed: ``--samples 0``."""
    try:
        yield
    except (ConfigError, PolicyError) as error:
        said = _ARGUMENT.sub(lambda match: f"--{match[1].replace('_', '-')} ", str(error))
        raise type(error)(said) from error


def _settings(summary: str, example: str) -> dict[str, Any]:
    return {"help_option_names": ["-h", "--help"], "obj": (summary, example)}


def _said(error: typer.TyperException) -> str:
    message: str = getattr(error, "format_message", error.__str__)()
    return " ".join(message.split()).rstrip(".")


class _Kinds(TyperGroup):
    def get_help(self, ctx: typer.Context) -> str:  # type: ignore[override]
        """The kinds with their summaries."""
        summary, example = ctx.obj
        given = {word: command.context_settings["obj"][0] for word, command in self.commands.items()}
        usage = f"{ctx.command_path} KIND ..."
        return help_of(usage, summary=summary, given=given, example=example).rstrip("\n")


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
