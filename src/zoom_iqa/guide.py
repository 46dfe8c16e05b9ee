"""Guide a restorer: ``zoom-iqa guide IMAGE`` turns an assessment into the prompts that text-guided restorers take.

With ``--apply`` or ``--loop N`` it restores the image too. The loop assesses, edits and assesses again, keeps the
best, and stops when nothing is gained. An edit is judged as the file will show it, so that none is kept that is judged
worse than the input; where none is kept the file is a copy of the input, or the input in the format that was named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.assessor_options import DeviceOption, PolicyOption, ProtocolOption
from zoom_iqa.config.checks import hint
from zoom_iqa.config.help import photograph
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.config.options import run_options
from zoom_iqa.tasks.guidance import TARGETS

SUMMARY = "Turns an assessment into prompts for a restorer, or restores the image itself."
EXAMPLE = f"zoom-iqa guide {photograph('coffee')} --target sd-upscale"
SAMPLES = 4
"""Answers by whose expected ratings an image counts: the words of one alone would be luck."""


@told_output()
def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_options(_options, name="guide", summary=SUMMARY, example=EXAMPLE)


def _options(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="the image")],
    target: Annotated[str, typer.Option(metavar="NAME", help=" ".join(TARGETS))] = "plain",
    policy: PolicyOption = None,
    protocol: ProtocolOption = None,
    samples: Annotated[
        int, typer.Option(metavar="N", help=f"answers an image; their mean counts; {SAMPLES} unless given")
    ] = SAMPLES,
    device: DeviceOption = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="the target's tokenizer; else tokens are estimated")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="a JSON object")] = False,
    apply: Annotated[
        str | None, typer.Option(metavar="WITH", help="edit once: embedded, or a folder of the target's pipeline")
    ] = None,
    loop: Annotated[int | None, typer.Option(metavar="N", help="edit up to N times; only gains are kept")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the edited image, with the profile and EXIF of the old one")
    ] = None,
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="before and after as an HTML page")] = None,
) -> None:

    def command() -> None:
        edits = apply is not None or loop is not None
        _check(target, loop=loop, edits=edits, written={"--output": output, "--page": page})
        if apply is not None and os.path.isabs(apply) and not os.path.isdir(apply):
            raise ConfigError(f"--apply {apply}: there is no such folder; name one, or embedded")

        from zoom_iqa.config.guiding_run import EMBEDDED, Editing, guide

        editing = None
        if edits:
            restored = output or _new(f"{Path(image).stem}-restored")
            editing = Editing(apply=apply or EMBEDDED, loop=loop, output=restored, page=page)
        guide(
            image,
            target=target,
            policy=policy,
            protocol=protocol,
            samples=samples,
            device=device,
            tokenizer=tokenizer,
            as_json=as_json,
            editing=editing,
        )

    run_after_help(command)


def _new(stem: str) -> Path:
    """A name that no file has: what nobody has named must not take another one's place."""
    from zoom_iqa.reports.files import numbered

    return next(Path(f"{name}.png") for name in numbered(stem) if not os.path.lexists(f"{name}.png"))


def _check(target: str, *, loop: int | None, edits: bool, written: Mapping[str, Path | None]) -> None:
    if target not in TARGETS:
        raise ConfigError(f"--target {target}: there is no such target{hint(target, TARGETS)}")
    if loop is not None and loop < 1:
        raise ConfigError(f"--loop {loop} must be at least 1: so many times the image is edited")
    for flag, file in written.items():
        if file is not None and not edits:
            raise ConfigError(f"{flag} {file}: nothing is edited; add --loop 3 or --apply embedded")


if __name__ == "__main__":
    main()
