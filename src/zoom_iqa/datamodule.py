"""The training data of a stage as a LightningDataModule: one pass of a fixed number of steps, continued where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
from torch.utils.data import DataLoader, Dataset, Sampler

from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.resampling import Resampler
from zoom_iqa.distributed import rank, world_size
from zoom_iqa.errors import ConfigError


class StageData(L.LightningDataModule):
    """``steps`` batches of ``batch_size`` samples per process, drawn by a re-sampling schedule over the labels.

    ``dataset`` is map-style with ``items()``; ``resampling`` makes a Resampler from ``mos=``, ``seed=``, ``total=``.
    """

    def __init__(
        self,
        *,
        dataset: Dataset[Any],
        resampling: Callable[..., Resampler],
        steps: int,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        for name, value in (("steps", steps), ("batch_size", batch_size)):
            if value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
        self._dataset, self._make = dataset, resampling
        self._steps, self._batch_size, self._workers, self._seed = steps, batch_size, workers, seed
