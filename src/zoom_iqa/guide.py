"""Guide a restorer: ``zoom-iqa guide IMAGE`` turns an assessment into the prompts that text-guided restorers take.

With ``--apply`` or ``--loop N`` it restores the image too. The loop assesses, edits and assesses again, keeps the
best, and stops when nothing is gained: the image it writes is never judged worse than the input, and is a copy of it
where no edit is kept.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.assessor_options import DeviceOption, PolicyOption, ProtocolOption
from zoom_iqa.config.checks import hint
from zoom_iqa.config.help import photograph
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.config.options import named_as_options, run_options
from zoom_iqa.policy.shipped import advice
from zoom_iqa.tasks.guidance import TARGETS

if TYPE_CHECKING:
    from zoom_iqa.config.assessor import Assessor
    from zoom_iqa.evaluation.diffusers_editor import DiffusersEditor
    from zoom_iqa.evaluation.refinement import EmbeddedRestorer, Refinement
    from zoom_iqa.tasks.guidance import CountTokens

SUMMARY = "Turns an assessment into prompts for a restorer, or restores the image itself."
EXAMPLE = f"zoom-iqa guide {photograph('coffee')} --target sd-upscale"
SAMPLES = 4
"""Answers by whose expected ratings an image counts: the words of one alone would be luck."""
LEAST_GAIN = 0.02
"""Of the expected rating, for which an edit is kept."""
EMBEDDED = "embedded"
SEED = 0
"""Of a pipeline's noise."""


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
        restored = output or _new(f"{Path(image).stem}-restored")

        from zoom_iqa.base.standard_output import StandardOutput
        from zoom_iqa.config.assessor import Assessor
        from zoom_iqa.data.images import load_image
        from zoom_iqa.evaluation.guiding import guidance_of, repairs_of, token_counter
        from zoom_iqa.evaluation.refinement import refine
        from zoom_iqa.reports.before_after import before_after_page
        from zoom_iqa.reports.files import check_page, check_place, check_size, format_of, write_page
        from zoom_iqa.reports.guiding import guidance_fields, guidance_text, refinement_fields

        format_of(restored)
        if edits:
            check_place(restored)
            _refuse_the_image(image, restored)
            if page is not None:
                check_page(page)
        before = load_image(image, max_pixels=None)
        if edits:
            check_size(*before.size, restored)
        count = None if tokenizer is None else token_counter(tokenizer)
        with named_as_options():
            assessor = Assessor(policy, protocol=protocol, samples=samples, device=device)
        if assessor.is_shipped:
            print(advice(None), file=sys.stderr)
        editor = _editor(apply or EMBEDDED, once=loop is None, target=target, assessor=assessor, count=count)
        assessment = assessor.assess(image)
        made = guidance_of(assessment, target=TARGETS[target], count=count)
        fields = guidance_fields(assessment, made, repairs_of(assessment), target=target, counted_by=tokenizer)
        if edits:
            refinement = refine(
                before,
                assessment,
                judge=assessor.assess_many,
                reader=assessor.drawn_anew().assess_many,
                editor=editor,
                turns=loop or 1,
                least_gain=-math.inf if loop is None else LEAST_GAIN,
            )
            fields |= refinement_fields(refinement, output=str(restored), copied=_write(refinement, image, restored))
            if page is not None:
                write_page(before_after_page(before, refinement, made), page)
        StandardOutput().write(json.dumps(fields) + "\n" if as_json else guidance_text(fields, made))

    run_after_help(command)


def _write(refinement: Refinement, image: str, restored: Path) -> bool:
    """Write the image judged best; whether it is the input, copied as it was."""
    from zoom_iqa.data.metadata import colour_profile, photograph_exif
    from zoom_iqa.reports.files import copy_image, write_image

    copied = not refinement.kept and copy_image(Path(image), restored)
    if not copied:
        write_image(refinement.image, restored, profile=colour_profile(image), exif=photograph_exif(image))
    return copied


def _new(stem: str) -> Path:
    """A name that no file has: what nobody has named must not take another one's place."""
    from zoom_iqa.reports.files import numbered

    return next(Path(f"{name}.png") for name in numbered(stem) if not os.path.lexists(f"{name}.png"))


def _refuse_the_image(image: str, restored: Path) -> None:
    if os.path.exists(restored) and os.path.exists(image) and os.path.samefile(image, restored):
        raise ConfigError(f"--output {restored}: that is the image itself; name another file")


def _check(target: str, *, loop: int | None, edits: bool, written: Mapping[str, Path | None]) -> None:
    if target not in TARGETS:
        raise ConfigError(f"--target {target}: there is no such target{hint(target, TARGETS)}")
    if loop is not None and loop < 1:
        raise ConfigError(f"--loop {loop} must be at least 1: so many times the image is edited")
    for flag, file in written.items():
        if file is not None and not edits:
            raise ConfigError(f"{flag} {file}: nothing is edited; add --loop 3 or --apply embedded")


def _editor(
    name: str, *, once: bool, target: str, assessor: Assessor, count: CountTokens | None
) -> EmbeddedRestorer | DiffusersEditor:
    from zoom_iqa.evaluation.diffusers_editor import DiffusersEditor
    from zoom_iqa.evaluation.refinement import EmbeddedRestorer

    if name == EMBEDDED:
        return EmbeddedRestorer(alone=not once)
    return DiffusersEditor(target=TARGETS[target], folder=name, device=assessor.policy.device, seed=SEED, count=count)


if __name__ == "__main__":
    main()
