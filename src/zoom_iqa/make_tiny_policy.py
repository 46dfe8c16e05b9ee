"""Make a tiny policy: ``python -m zoom_iqa.make_tiny_policy [key=value]``.

Photographs from Debian's packages, tokenizer from the project's text, vision tower warmed up on distorted pictures,
language model on rationales about them; every step from one seed. ``start=FOLDER`` goes on from a policy instead of
random weights. The run folder ends with ``policy/``;
experiments/tiny_policy says how the shipped one was made.
"""

from __future__ import annotations

from zoom_iqa.config.help import help_of
from zoom_iqa.config.late import run_late

HELP = help_of(
    "python -m zoom_iqa.make_tiny_policy [KEY=VALUE ...]",
    summary="Makes a policy as small as the shipped one, from random weights or from a policy; meant for a GPU.",
    given={
        "KEY=VALUE": "device=cuda, workers=15, vision.steps=100, and whatever --cfg job prints",
        "start": "a policy's folder to go on from, with its shapes and tokenizer",
        "paths.photographs": "where the photographs lie; those that are missing are fetched, null fetches none",
        "paths.run_dir": "where it is written, as policy/; a folder that holds warmed/ goes on from there",
    },
    example="python -m zoom_iqa.make_tiny_policy paths.run_dir=runs/tiny_policy",
)


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_late("zoom_iqa.config.tiny_policy_run", help_text=HELP)


if __name__ == "__main__":
    main()
