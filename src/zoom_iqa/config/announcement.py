"""The lines a run prints at its start: its place, policy and lengths, and how it is stopped and goes on."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig

from zoom_iqa.base.printable import printable
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shipped import shipped_policy_folder
from zoom_iqa.tasks.zoom import ZoomTask

NOT_LEARNED = "the shipped policy has learned task=zoom alone, and its answers to this task"
STOPPING = "Control-C or SIGTERM: the step in hand ends, everything is saved"


def announce(rows: Mapping[str, str]) -> None:
    """Print a line for each row."""
    width = max(map(len, rows))
    lines = [f"{name:{width}}  {printable(text)}" for name, text in rows.items()]
    print("\n".join(lines), file=sys.stderr, flush=True)


def announce_evaluation(folder: Path, who: Mapping[str, str], images: Mapping[str, int]) -> None:
    """An evaluation's lines: ``images`` by data set."""
    counts = {name: f"{count:,} images" for name, count in images.items()}
    announce({"run folder": str(folder), **who, **counts, "to stop": STOPPING, "to go on": "the same command"})


def not_learned(cfg: DictConfig) -> dict[str, str]:
    """A row for an evaluation that asks the shipped policy what it has not learned; none for any other."""
    task = pkgutil.resolve_name(cfg.task["_target_"])
    learned = inspect.isclass(task) and issubclass(task, ZoomTask)
    if learned or str(cfg.policy.path) != str(shipped_policy_folder()):
        return {}
    return {"note": f"{NOT_LEARNED} ({task.__name__}) say little; policy.path=FOLDER names another"}


def described(policy: Policy, path: str) -> str:
    """A policy in a line: its place, size, numbers and device."""
    parameters = [*policy.model.parameters()]
    total = sum(parameter.numel() for parameter in parameters)
    dtype = str(parameters[0].dtype).removeprefix("torch.")
    return f"{path}: {_millions(total)} parameters in {dtype} on {policy.device}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count < 1e9 else f"{count / 1e9:,.1f} G"
