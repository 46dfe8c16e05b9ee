"""The command that continues a run, from the command line that began it."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

MULTIRUN = "ZOOM_IQA_MULTIRUN"
"""The variable that tells jobs the folder and the arguments of their multirun: one of SLURM's has others of its own."""


def quoted(value: str) -> str:
    """A value as Hydra's grammar takes it, whatever it holds; in quotes only where it must be."""
    if value and all(c.isascii() and (c.isalnum() or c in "/_-.:") for c in value):
        return value
    literal = value.replace("${", r"\${")
    # of backslashes only those before a quote are read as escapes
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + m[2].replace("'", r"\'"), literal) + "'"


def is_multirun() -> bool:
    """Whether this process works on a run of a multirun."""
    return bool(HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN)


def tell_jobs(sweep_dir: Path) -> None:
    """Called by the multirun itself, before its jobs: they will know its command line."""
    os.environ[MULTIRUN] = json.dumps([str(sweep_dir.absolute()), sys.argv[1:]])


def begun_with() -> list[str]:
    """The arguments of the command that a user typed to begin this run, or the multirun that it is a job of."""
    if is_multirun() and MULTIRUN in os.environ:
        folder, arguments = json.loads(os.environ[MULTIRUN])
        if folder == str(Path(HydraConfig.get().sweep.dir).absolute()):
            return list(arguments)
    return sys.argv[1:]


def go_on_command(run_dir: Path) -> str:
    """The command that continues the training run in ``run_dir``, or the multirun that it is a job of."""
    if is_multirun():
        return go_on_with_all(Path(HydraConfig.get().sweep.dir))
    return _again("paths.run_dir", run_dir)


def go_on_with_all(folder: Path) -> str:
    """The command that continues the multirun in ``folder``."""
    return _again("hydra.sweep.dir", folder)


def _again(key: str, place: Path) -> str:
    begun = [argument for argument in begun_with() if not argument.startswith((f"{key}=", "hydra.run.dir="))]
    return command("zoom_iqa.train", beside_the_others(begun, f"{key}={quoted(str(place))}"))


def beside_the_others(begun: Sequence[str], override: str) -> list[str]:
    """The arguments with one more override: flags may come before all overrides or after all, and not between."""
    places = [
        place
        for place, argument in enumerate(begun, start=1)
        if not argument.startswith("-") and ("=" in argument or argument.startswith("~"))
    ]
    after = places[-1] if places else len(begun)
    return [*begun[:after], override, *begun[after:]]


def names_its_folder() -> bool:
    """Whether the same command line, given again, continues the run instead of beginning another."""
    keys = ("paths.run_dir=", "hydra.run.dir=", "hydra.sweep.dir=")
    return any(argument.startswith(keys) for argument in begun_with())


def command(module: str, arguments: Sequence[str]) -> str:
    """A command line for the shell: under torchrun with as many processes as this run has on its machine."""
    local = os.environ.get("LOCAL_WORLD_SIZE")
    start = f"torchrun --nproc-per-node {local}" if local is not None else "python"
    return f"{start} -m {module} {shlex.join(arguments)}"
