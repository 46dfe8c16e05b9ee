"""Lightning's part in a run of several processes: it joins them, and leaves weights and gradients to the placement."""

from __future__ import annotations

from lightning.pytorch.strategies import DDPStrategy


class PlacedStrategy(DDPStrategy):
    """Lightning's data-parallel strategy without its wrapper, whose buckets are a second copy of all gradients.

    Modules place their weights in ``configure_model`` and sum gradients in ``Placement.sum_clip_step``.
    """

    def configure_ddp(self) -> None:
        """Wrap nothing."""
