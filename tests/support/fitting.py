"""Lightning's loop around a module under test, and the copy of a policy it may change."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zoom_iqa.data.collation import as_list
from zoom_iqa.policy.policy import Policy


def own_copy(policy: Policy) -> Policy:
    twin = copy.copy(policy)
    twin.model = copy.deepcopy(policy.model)
    return twin


class Samples(L.LightningDataModule):
    """Batches of samples in their order."""

    def __init__(self, samples: Sequence[Any], batch_size: int) -> None:
        super().__init__()
        self._samples, self._batch_size = samples, batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self._samples, batch_size=self._batch_size, collate_fn=as_list)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch


def fit(module: L.LightningModule, samples: Sequence[Any], *, batch_size: int, folder: Path | None = None) -> L.Trainer:
    """Everything the trainer writes goes to ``folder``, or is gone at the end."""
    with tempfile.TemporaryDirectory() as gone:
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder or gone,
        )
        trainer.fit(module, datamodule=Samples(samples, batch_size))
    return trainer


def weights(policy: Policy) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in policy.model.state_dict().items()}


def sgd(lr: float) -> Any:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)
