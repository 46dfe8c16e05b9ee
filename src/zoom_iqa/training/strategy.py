"""Lightning's part in a run of several processes: it joins them, and leaves weights and gradients to the placement."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch.optim import Optimizer

from zoom_iqa.parallel.deepspeed_zero import DeepSpeedZero
from zoom_iqa.parallel.pieces import split
from zoom_iqa.parallel.placement import FSDP, ZERO_STAGES, Placement, Replicated
from zoom_iqa.parallel.processes import world_size
from zoom_iqa.policy.parts import blocks, kept_whole
from zoom_iqa.policy.policy import Policy


def joining_strategy(strategy: Any) -> Any:
    """Lightning's strategy that joins the processes for a ``trainer.strategy``."""
    return "ddp" if strategy == FSDP or strategy in ZERO_STAGES else strategy


def placement_of(strategy: Any) -> Placement:
    """The places of weights for a ``trainer.strategy``, when the processes have joined; one alone has all."""
    if world_size() > 1 and strategy == FSDP:
        from zoom_iqa.parallel.sharded import Sharded  # FSDP takes a second to import

        return Sharded(blocks=blocks, kept_whole=kept_whole)
    if world_size() > 1 and strategy in ZERO_STAGES:
        return DeepSpeedZero(stage=ZERO_STAGES[strategy], kept_whole=kept_whole)
    return Replicated()


def lent(trainer: L.Trainer, policy: Policy) -> AbstractContextManager[None]:
    """Within the block the policy that a trainer trains has whole weights. Every process must come here."""
    strategy = trainer.strategy
    return strategy.placement.lent(policy) if isinstance(strategy, PlacedStrategy) else nullcontext()


class PlacedStrategy(DDPStrategy):
    """Lightning's data-parallel strategy without its wrapper, whose buckets are a second copy of all gradients.

    Modules place their weights in ``configure_model`` and sum gradients in ``Placement.sum_clip_step``; checkpoints
    hold what the placement gives.
    """

    def __init__(self, placement: Placement) -> None:
        super().__init__()
        self.placement = placement

    def configure_ddp(self) -> None:
        """Wrap nothing."""

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Weights as the placement gives them."""
        assert self.lightning_module is not None
        return dict(self.placement.state_dict(self.lightning_module))

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """In the first process; parts that each process has of something in a file of its own."""
        main, parts = split(checkpoint)
        if parts:
            files: Any = self.checkpoint_io
            files.save_in_pieces(main, parts, Path(filepath))
        else:
            super().save_checkpoint(main, filepath, storage_options)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take them, strictly."""
        assert self.lightning_module is not None
        self.placement.load_state_dict(self.lightning_module, checkpoint["state_dict"])

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """States as the placement gives them."""
        return self.placement.optimizer_state(
            optimizer.optimizer if isinstance(optimizer, LightningOptimizer) else optimizer
        )

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take them."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            self.placement.load_optimizer_state(optimizer, state)
