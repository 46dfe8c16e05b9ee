"""Options that the programs around an assessor share: its policy, task, protocol, device and configs of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from zoom_iqa.config.help import rating_tasks


def _not_empty(name: str | None) -> str | None:
    """Told before torch is imported, which takes seconds."""
    if name == "":
        raise typer.BadParameter("it is empty, as an unset variable is; name a folder or a hub id")
    return name


PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="PATH",
        callback=_not_empty,
        help="any Qwen2.5-VL, a folder or a hub id; else the one shipped",
    ),
]
TaskOption = Annotated[str | None, typer.Option("--task", metavar="NAME", help=f"one of {rating_tasks()}")]
ProtocolOption = Annotated[
    str | None, typer.Option("--protocol", metavar="NAME", help="strict, or released: the authors' prompts and reading")
]
DeviceOption = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N")]
ConfigDirOption = Annotated[
    str | None,
    typer.Option("--config-dir", metavar="DIR", help="a folder of yours with task/NAME.yaml and the like"),
]
