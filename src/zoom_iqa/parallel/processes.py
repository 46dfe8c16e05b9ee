"""The processes of a run seen as one: sums and gathers over torch.distributed, and the sum of gradients.

A run without an initialised process group is its own whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from zoom_iqa.base.errors import ZoomIQAError
from zoom_iqa.parallel.reducer import LocalReducer, Reducer

Made = TypeVar("Made")
SETTLE_S = 0.1


class DistributedReducer:
    """The reducer over all processes of the default group."""

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over the processes."""
        total = values.detach().to(_collective_device()).clone()
        dist.all_reduce(total)
        return total.to(values.device)

    def gather(self, values: Tensor) -> tuple[Tensor, int]:
        """Concatenate rows over processes in rank order; rows are padded to the longest and cut again."""
        device = _collective_device()
        count = torch.tensor([len(values)], device=device)
        counts = [torch.zeros_like(count) for _ in range(dist.get_world_size())]
        dist.all_gather(counts, count)
        lengths = [int(n) for n in counts]
        padded = torch.zeros((max(lengths), *values.shape[1:]), dtype=values.dtype, device=device)
        padded[: len(values)] = values.detach()
        parts = [torch.zeros_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        rows = torch.cat([part[:n] for part, n in zip(parts, lengths, strict=True)])
        return rows.to(values.device), sum(lengths[: dist.get_rank()])


def _collective_device() -> torch.device:
    """NCCL moves only GPU memory; gloo takes either."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def current_reducer() -> Reducer:
    """The reducer of this run: local for one process."""
    return DistributedReducer() if world_size() > 1 else LocalReducer()


def world_size() -> int:
    """How many processes take part."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them."""
    return dist.get_rank() if world_size() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that speaks for the run; known before the processes have joined, too."""
    if world_size() > 1:
        return dist.get_rank() == 0
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    return all(os.environ.get(name, "0") == "0" for name in names)


def wait_for_all() -> None:
    """Return when every process has come here, so that what the others wrote before is there."""
    if world_size() > 1:
        dist.barrier()


def settle() -> None:
    """Give gloo's threads a moment to drop the last collective's tensors; call it before this process forks or ends.

    They need the interpreter's lock for it. A process that is forked while a thread asks for that lock hangs before
    its first line (CPython issue 112275; seen with 3.11.7, once in about 150 loaders). A thread that asks for the lock
    of an interpreter that is ending aborts the process (PyTorch pull request 179291), although its work was done.
    """
    if world_size() > 1:
        time.sleep(SETTLE_S)


def true_in_all(flag: bool) -> bool:
    """Whether it is true in every process. Every process must call it."""
    return bool(current_reducer().sum(torch.tensor(float(not flag))) == 0)


def from_first(make: Callable[[], Made]) -> Made:
    """The value that ``make`` returns in the first process, in every process; so too an error it raises on purpose."""
    if world_size() == 1:
        return make()
    box: list[Made | ZoomIQAError | None] = [None]
    if rank() == 0:
        try:
            box = [make()]
        except ZoomIQAError as error:
            box = [error]
    dist.broadcast_object_list(box, src=0)
    if isinstance(box[0], ZoomIQAError):
        raise box[0]
    return box[0]  # type: ignore[return-value]


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add the gradients of all processes in place. A parameter without a gradient takes part with zeros.

    Every process must call it, also one whose advantages are all zero: the collective waits for everyone.
    """
    if world_size() == 1:
        return
    for parameter in parameters:
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
