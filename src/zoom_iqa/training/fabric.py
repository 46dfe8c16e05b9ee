"""Joining the processes of a run: Lightning says which there are, and this starts those that nobody else does."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.fabric.accelerators import CPUAccelerator
from lightning.fabric.strategies import DDPStrategy

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.launching import start_children
from zoom_iqa.parallel.silence import watch_for_silence
from zoom_iqa.training.strategy import joining_strategy

LONGEST_S = 30 * 24 * 3600.0
"""The longest that processes wait for each other: an engine may be waited for without an end."""


def fabric_of(settings: Mapping[str, Any], *, where: str, patience_s: float) -> L.Fabric:
    """The Fabric that joins the processes that ``settings`` of the config's node ``where`` ask for.

    They wait for each other at least ``patience_s`` seconds: so long one of them may be at work alone.

    Raises:
        ConfigError: the machine does not have what is asked for.
    """
    try:
        fabric = L.Fabric(**{**settings, "strategy": joining_strategy(settings.get("strategy", "auto"))})
    except (ValueError, RuntimeError, TypeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{where}: {said} (machine=cpu takes the processors)") from error
    if isinstance(fabric.strategy, DDPStrategy):  # Lightning takes it from the maker of a strategy alone
        fabric.strategy._timeout = timedelta(seconds=min(patience_s, LONGEST_S))
    processors = os.cpu_count() or 1
    if isinstance(fabric.accelerator, CPUAccelerator) and starts_processes(fabric):
        count = fabric.strategy.num_processes  # type: ignore[attr-defined]
        if count > processors:
            raise ConfigError(f"{where}.devices={count}: this machine has {processors} processors, one a process")
    return fabric


def starts_processes(fabric: L.Fabric) -> bool:
    """Whether this process would have to start others: torchrun and SLURM start them by themselves."""
    environment: Any = getattr(fabric.strategy, "cluster_environment", None)
    return fabric.strategy.launcher is not None and not environment.creates_processes_externally


def launch(fabric: L.Fabric, *, arguments: Sequence[str], silent_after_s: float) -> None:
    """Start the processes that are missing, each by this process's own command with ``arguments``, and join all.

    Lightning would start them too, but not end them with this process, nor say which of them has died. One that falls
    silent for ``silent_after_s`` seconds ends all.
    """
    if starts_processes(fabric):
        environment: Any = fabric.strategy.cluster_environment  # type: ignore[attr-defined]
        count = fabric.strategy.num_processes  # type: ignore[attr-defined]
        environment.validate_settings(num_devices=count, num_nodes=fabric.strategy.num_nodes)  # type: ignore[attr-defined]
        os.environ |= {
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "WORLD_SIZE": str(count * fabric.strategy.num_nodes),  # type: ignore[attr-defined]
        }
        start_children([*_own_command(), *arguments], count=count - 1)
        os.environ["LOCAL_RANK"] = "0"  # Lightning takes the processes for started
    fabric.launch()
    watch_for_silence(silent_after_s)


def _own_command() -> list[str]:
    import __main__  # as it was started, which only that module knows

    module = getattr(__main__.__spec__, "name", None)
    start = [os.path.abspath(sys.argv[0])] if module is None else ["-m", module]
    return [sys.executable, *start]
