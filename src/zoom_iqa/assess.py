"""Rate photographs: ``zoom-iqa assess PATH ...`` prints a card for each, or JSON, JSON Lines or CSV.

A file that is no image, or an overlay that cannot be written, is reported and the rest goes on. Asked to stop, it ends
after the batch in hand, and all that is done has been written. The exit status is 0 when every image has a rating, and
an overlay where one is asked for, and 1 when one has none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import typer

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.assessor_options import ConfigDirOption, DeviceOption, PolicyOption, ProtocolOption, TaskOption
from zoom_iqa.config.help import photograph
from zoom_iqa.config.late import run_after_help, told_output
from zoom_iqa.config.options import named_as_options, run_options
from zoom_iqa.policy.shipped import advice

SUMMARY = "Rates photographs on 1-5, 5 best, and says why: a card for each, or JSON or CSV."
EXAMPLE = f"zoom-iqa assess {photograph('coffee')}"


@told_output()
def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_options(_options, name="assess", summary=SUMMARY, example=EXAMPLE)


def _options(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH ...", help="images, folders of them, globs; - reads a list from stdin"),
    ] = None,
    policy: PolicyOption = None,
    task: TaskOption = None,
    protocol: ProtocolOption = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="answers an image; their mean counts")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON list instead of cards")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="a JSON object a line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="a row an image, without texts")] = False,
    overlay: Annotated[
        str | None, typer.Option(metavar="DIR", help="a PNG an image: boxes on it, crops beside it")
    ] = None,
    device: DeviceOption = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="images at a time")] = None,
    config_dir: ConfigDirOption = None,
) -> None:

    def command() -> None:
        forms = [name for name, given in (("json", as_json), ("jsonl", as_jsonl), ("csv", as_csv)) if given]
        if len(forms) > 1:
            raise ConfigError(f"{' and '.join(f'--{name}' for name in forms)}: give one of them")
        if overlay == "":
            raise ConfigError("--overlay is empty, as an unset variable is; name a folder, or . for the working folder")
        if overlay is not None and os.path.isfile(overlay):
            raise ConfigError(f"--overlay {overlay} is a file; name a folder")
        files = _named_files(paths or [])
        _require_one(files)

        from zoom_iqa.config.assessor import Assessor
        from zoom_iqa.reports.assessing import assess_files
        from zoom_iqa.reports.files import check_place_of_folder

        if overlay is not None:
            check_place_of_folder(Path(overlay))

        with named_as_options():
            assessor = Assessor(
                policy,
                samples=samples,
                task=task,
                protocol=protocol,
                device=device,
                batch_size=batch_size,
                config_dir=config_dir,
            )
        if assessor.is_shipped:
            print(advice(task), file=sys.stderr)
        drawn = None if overlay is None else Path(overlay)
        if assess_files(files, assessor=assessor, form=forms[0] if forms else "cards", overlays=drawn):
            sys.exit(1)

    run_after_help(command)


def _named_files(names: Sequence[str]) -> list[str]:
    from zoom_iqa.data.image_paths import image_paths, unread_below
    from zoom_iqa.data.metadata import is_overlay

    if not names and sys.stdin is not None and not sys.stdin.isatty():
        names = ["-"]
    listed = [line for name in names for line in (_lines_of_stdin() if name == "-" else [name])]
    if not listed:
        raise ConfigError("no image is named; give files, folders or globs, or a list of them on stdin")
    drawn: set[str] = set()

    def is_drawn(path: str) -> bool:
        if is_overlay(path):
            drawn.add(path)
        return path in drawn

    meant = image_paths(listed, leave_out=is_drawn)
    if left := drawn.difference(meant):  # some are named as well
        print(f"overlays of earlier calls, left out: {len(left)}; name one to have it rated", file=sys.stderr)
        meant = [one for one in meant if not _holds(one, left)]
        if not meant:
            raise ConfigError("there is nothing else to rate")
    if unread := unread_below(listed):
        kinds = ", ".join(sorted({os.path.splitext(path)[1].lower() for path in unread}))
        print(f"photographs that cannot be read, left out: {len(unread)} ({kinds}); convert them", file=sys.stderr)
    return meant


def _require_one(files: Sequence[str]) -> None:
    """Refuse names that all lead to nothing, before a policy is loaded; one that does beside others is reported."""
    if any(os.path.exists(one) and not os.path.isdir(one) for one in files):
        return
    first = files[0]
    why = "there is no such file"
    if os.path.isdir(first):
        why = "a folder without images" if os.access(first, os.R_OK | os.X_OK) else "a folder that may not be entered"
    more = ", and the other names lead to no image either" if len(files) > 1 else ""
    raise ConfigError(f"{first}: {why}{more}; name an image")


def _holds(folder: str, left: Collection[str]) -> bool:
    """Whether this is a folder of overlays that were left out, and of nothing else that could be rated."""
    return os.path.isdir(folder) and any(Path(path).is_relative_to(folder) for path in left)


def _lines_of_stdin() -> list[str]:
    """A name of a file a line, in whatever encoding names have here."""
    if sys.stdin is None:  # closed, as by a daemon
        return []
    lines = (os.fsdecode(line).rstrip("\r\n") for line in sys.stdin.buffer)
    named = [line for line in lines if line]
    if any("\0" in line for line in named):
        raise ConfigError("names on stdin are separated by null bytes; give one a line, as find without -print0 does")
    return named


if __name__ == "__main__":
    main()
