"""``zoom-iqa guide`` once its options are looked at: assess, make the prompts, and edit where that is asked for."""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.standard_output import StandardOutput
from zoom_iqa.config.assessor import Assessor
from zoom_iqa.config.options import named_as_options
from zoom_iqa.data.images import load_image
from zoom_iqa.data.metadata import bits_a_channel, colour_profile, photograph_exif
from zoom_iqa.evaluation.diffusers_editor import DiffusersEditor
from zoom_iqa.evaluation.guiding import guidance_of, repairs_of, token_counter
from zoom_iqa.evaluation.refinement import EmbeddedRestorer, Refinement, refine
from zoom_iqa.policy.shipped import advice
from zoom_iqa.reports.before_after import before_after_page
from zoom_iqa.reports.files import (
    as_saved,
    check_page,
    check_place,
    check_size,
    copy_image,
    format_of,
    write_image,
    write_page,
)
from zoom_iqa.reports.guiding import guidance_fields, guidance_text, refinement_fields
from zoom_iqa.tasks.guidance import TARGETS, CountTokens

LEAST_GAIN = 0.02
"""Of the expected rating, for which an edit is kept."""
EMBEDDED = "embedded"
SEED = 0
"""Of a pipeline's noise."""


@dataclass(frozen=True, kw_only=True)
class Editing:
    """How an image is edited: ``apply`` names the editor, ``loop`` the most turns (None edits once, gain or not)."""

    apply: str
    loop: int | None
    output: Path
    page: Path | None


def guide(
    image: str,
    *,
    target: str,
    policy: str | None,
    protocol: str | None,
    samples: int,
    device: str | None,
    tokenizer: str | None,
    as_json: bool,
    editing: Editing | None,
) -> None:
    """Print the guidance of ``image`` for a target, and where ``editing`` says how, write the edited image.

    Raises:
        ConfigError: an option is wrong.
        ImageError: the image cannot be read.
        OutputError: something cannot be written.
    """
    if editing is not None:
        _check_places(image, editing)
    before = load_image(image, max_pixels=None)  # upright, as it is written
    if editing is not None:
        check_size(*before.size, editing.output)
    count = None if tokenizer is None else token_counter(tokenizer)
    with named_as_options():
        assessor = Assessor(policy, protocol=protocol, samples=samples, device=device)
    if assessor.is_shipped:
        print(advice(None), file=sys.stderr)
    editor = None if editing is None else _editor(editing, target=target, assessor=assessor, count=count)
    seen = image if editing is None or assessor.upright else before  # edits are written, and so judged, upright
    assessment = replace(assessor.assess(seen), source=image)
    made = guidance_of(assessment, target=TARGETS[target], count=count)
    fields = guidance_fields(assessment, made, repairs_of(assessment), target=target, counted_by=tokenizer)
    if editing is not None and editor is not None:
        refinement = refine(
            before,
            assessment,
            judge=assessor.assess_many,
            reader=assessor.drawn_anew().assess_many,
            editor=editor,
            turns=editing.loop or 1,
            least_gain=-math.inf if editing.loop is None else LEAST_GAIN,
            saved=partial(as_saved, path=editing.output),
        )
        copied = _write(refinement, image, editing.output)
        bits = bits_a_channel(image)
        fields |= refinement_fields(refinement, output=str(editing.output), copied=copied, bits=bits)
        if editing.page is not None:
            write_page(before_after_page(before, refinement, made), editing.page)
    StandardOutput().write(json.dumps(fields) + "\n" if as_json else guidance_text(fields, made))


def _check_places(image: str, editing: Editing) -> None:
    output = editing.output
    format_of(output)
    check_place(output)
    if os.path.exists(output) and os.path.exists(image) and os.path.samefile(image, output):
        raise ConfigError(f"--output {output}: that is the image itself; name another file")
    if editing.page is not None:
        check_page(editing.page)


def _editor(
    editing: Editing, *, target: str, assessor: Assessor, count: CountTokens | None
) -> EmbeddedRestorer | DiffusersEditor:
    if editing.apply == EMBEDDED:
        return EmbeddedRestorer(alone=editing.loop is not None)
    return DiffusersEditor(
        target=TARGETS[target], folder=editing.apply, device=assessor.policy.device, seed=SEED, count=count
    )


def _write(refinement: Refinement, image: str, restored: Path) -> bool:
    """Write the image judged best; whether it is the input, copied as it was."""
    copied = not refinement.kept and copy_image(Path(image), restored)
    if not copied:
        write_image(refinement.image, restored, profile=colour_profile(image), exif=photograph_exif(image))
    return copied
