"""Which matrix products a step makes, by phase: operations and shapes, as they reach the kernels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from workload import Phases

aten = torch.ops.aten
PRODUCTS = {aten.mm: 0, aten.addmm: 1, aten.bmm: 0, aten.baddbmm: 1}  # where the first factor is among the arguments
ATTENTION = {
    aten._scaled_dot_product_flash_attention_for_cpu: (0, 4, 2),  # queries, the causal flag, products of scores' size
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (1, 7, 5),
}


class ProductCounter(TorchDispatchMode):
    """Counts, by phase, products (batch, rows, inner, columns) and the share of their entries that is needed."""

    def __init__(self, phases: Phases) -> None:
        super().__init__()
        self._phases = phases
        self.counts: Counter[tuple[str, int, int, int, int, float]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        if packet in PRODUCTS:
            a, b = args[PRODUCTS[packet] : PRODUCTS[packet] + 2]
            self._count(1 if a.ndim == 2 else a.shape[0], a.shape[-2], a.shape[-1], b.shape[-1], 1.0)
        elif packet in ATTENTION:
            first, flag, times = ATTENTION[packet]
            (batch, heads, queries, width), keys = args[first].shape, args[first + 1].shape[2]
            causal = bool(args[flag]) if len(args) > flag else False
            needed = times * ((queries + 1) / (2 * queries) if causal else 1.0)
            self._count(batch * heads, queries, width, keys, needed)
        else:  # where nothing is recorded for a backward, compound operations come as they are
            with self:
                found = func.decompose(*args, **(kwargs or {}))
            if found is not NotImplemented:
                return found
        return func(*args, **(kwargs or {}))

    def _count(self, batch: int, rows: int, inner: int, columns: int, needed: float) -> None:
        self.counts[self._phases.current, batch, rows, inner, columns, needed] += 1
