"""GPUs by their data sheets, and the shares of them that were measured on one H200 (experiments/throughput)."""

from __future__ import annotations

from dataclasses import dataclass

USABLE = 0.92
"""Of a GPU's memory: the rest is the driver's and lies between blocks. Assumed, not measured."""
BANDWIDTH_REACHED = 4259 / 4800
"""Of the data sheet's bandwidth, by a copy of 4 GB."""
PRODUCTS_REACHED = 808 / 989
"""Of the data sheet's dense bfloat16 rate, by products of 8192 x 8192."""
DECODE_SHARE = 0.38
"""Of the bandwidth reached, by a decode step of the 7B shape with 64 rows."""
UPDATE_SHARE = 0.65
"""Of the products reached, by forward and backward of the 7B shape."""
PREFILL_SHARE = 0.27
"""Of the products reached, by prefill and vision together: products of 0.27 s took 0.99 s."""
PREPARE_S = 0.36 / 8
"""Of the CPU, for an image of 1024x768."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """``memory`` in bytes, ``bandwidth`` in bytes a second, ``products`` in dense bfloat16 operations a second."""

    memory: float
    bandwidth: float
    products: float

    @property
    def usable(self) -> float:
        """Bytes that a run may take."""
        return USABLE * self.memory


GPUS = {
    "h200": Gpu(memory=141e9, bandwidth=4.8e12, products=989e12),
    "h100": Gpu(memory=80e9, bandwidth=3.35e12, products=989e12),
    "a100": Gpu(memory=80e9, bandwidth=2.039e12, products=312e12),
    "l40s": Gpu(memory=48e9, bandwidth=0.864e12, products=362e12),
}
