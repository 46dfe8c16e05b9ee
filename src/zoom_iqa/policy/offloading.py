"""Gradient checkpointing whose kept inputs of blocks lie in the machine's memory and not in the GPU's.

A block's input is all that checkpointing keeps of it (200,704 bytes a token for all blocks of 7B). It is brought back
when the block is made again, and its gradient crosses over twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

HOST = torch.device("cpu")


def offload_checkpoints(model: nn.Module) -> None:
    """Let the blocks of a model whose gradient checkpointing is on keep their inputs in the machine's memory."""
    recomputed: list[Any] = [module for module in model.modules() if hasattr(module, "_gradient_checkpointing_func")]
    for module in recomputed:
        module._gradient_checkpointing_func = offloaded_checkpoint


def offloaded_checkpoint(block: Callable[..., Any], hidden: Tensor, *others: Any) -> Any:
    """The block's output of ``hidden``, of which a copy alone is kept until the block is made again."""
    held = hidden.to(HOST, copy=True)
    return checkpoint(partial(_brought_back, block, hidden.device), held, *others, use_reentrant=False)


def _brought_back(block: Callable[..., Any], device: torch.device, held: Tensor, *others: Any) -> Any:
    return block(held.to(device, copy=True), *others)
