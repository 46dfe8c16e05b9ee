"""Options that the programs around an assessor share: its policy, task, protocol, device and configs of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from zoom_iqa.config.help import rating_tasks

PolicyOption = Annotated[
    str | None,
    typer.Option("--policy", metavar="PATH", help="any Qwen2.5-VL, a folder or a hub id; else the one shipped"),
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
