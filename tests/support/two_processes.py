"""A function run in two processes that have joined over gloo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from support.free_port import free_port
from zoom_iqa.parallel.processes import settle


def in_two(of_process: Callable[[int, Path], Any], folder: Path) -> list[Any]:
    """What ``of_process(number, folder)``, a function of a module, returns in the first and in the second process."""
    mp.spawn(_process, args=(free_port(), of_process, folder), nprocs=2)
    return [torch.load(folder / f"{number}.pt", weights_only=False) for number in (0, 1)]


def _process(number: int, port: int, of_process: Callable[[int, Path], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=2)
    torch.save(of_process(number, folder), folder / f"{number}.pt")
    settle()
    dist.destroy_process_group()
