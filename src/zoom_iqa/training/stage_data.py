"""The training data of a stage: one pass over a stream of a known length, continued where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Sampler

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_whole
from zoom_iqa.base.targets import RATING_MIDDLE, Preference
from zoom_iqa.base.types import Example
from zoom_iqa.data.loader import SampleLoader
from zoom_iqa.data.resampling import IndexStream
from zoom_iqa.data.validation import validate_items
from zoom_iqa.data.viewable import Viewable
from zoom_iqa.parallel.processes import rank, world_size
from zoom_iqa.training.length import Length

STREAM_NEEDS = ("weighted", "iterate", "state_dict", "load_state_dict", "repeats_said")
"""The members of IndexStream."""


class StageData(L.LightningDataModule):
    """The batches of a stage's ``length``, drawn by a re-sampling schedule over the labels.

    A batch is what a process learns from in a step: ``accumulate`` times ``batch_size`` samples.

    ``dataset`` is map-style with ``items()``; ``resampling`` makes an IndexStream from ``mos``, ``seed`` and ``total``.
    More than ``max_lost_images`` that can be read no more are to end the stage.

    Raises:
        ConfigError: a number is too small, or the resampler refuses a setting.
        DataError: the data set is empty, or a label, id or file of it is unusable; every such row is listed.
    """

    def __init__(
        self,
        *,
        dataset: Any,
        resampling: Callable[..., IndexStream],
        length: Length,
        batch_size: int,
        accumulate: int,
        workers: int,
        max_lost_images: int,
        seed: int,
    ) -> None:
        super().__init__()
        require_whole("batch_size", batch_size, least=1)
        require_whole("accumulate", accumulate, least=1)
        require_whole("workers", workers, least=0, note="0 loads in the process itself")
        require_whole("max_lost_images", max_lost_images, least=0, note="0 ends the stage at the first")
        validate_items(dataset.items())
        self._dataset, self._resampling = dataset, resampling
        self._length, self._batch_size, self._workers, self._seed = length, batch_size * accumulate, workers, seed
        self.max_lost_images = max_lost_images
        self._stream(processes=1)  # made and dropped: wrong settings show before there is a policy
        self._resampler: IndexStream | None = None
        self._restored: dict[str, Any] | None = None

    @property
    def examples(self) -> Sequence[Example]:
        """The labels, in index order."""
        examples: Sequence[Example] = self._dataset.items()
        return examples

    @property
    def samples(self) -> int:
        """The number of samples there are to draw from."""
        return len(self._dataset)

    def images_per_step(self, processes: int) -> int:
        """Samples that all processes together learn from in a step."""
        return self._batch_size * processes

    def steps(self, processes: int) -> int:
        """The length of the stage in steps of so many processes."""
        return self._length.in_steps(samples=self.samples, per_step=self.images_per_step(processes))

    def train_dataloader(self) -> DataLoader[Any]:
        """The loader of the batches that are still to come."""
        self._resampler = self._stream(processes=world_size())
        if self._restored is not None:
            self._resampler.load_state_dict(self._restored)
        if rank() == 0 and self._resampler.weighted:
            print(f"re-sampling: {self._resampler.repeats_said()}", file=sys.stderr)
        return SampleLoader(
            Viewable(self._dataset, most_lost=self.max_lost_images),
            batch_size=self._batch_size,
            workers=self._workers,
            sampler=_ProcessShare(self._resampler, length=self.steps(world_size()) * self._batch_size),
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave samples where they are: the policy moves what it makes of them."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream of samples that training has used; what workers fetched ahead does not count."""
        assert self._resampler is not None, "checkpoints are written while training"
        assert self.trainer is not None
        # callbacks that save see a batch as processed, and only after them is it counted as completed
        batches: int = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        used = batches * self._batch_size * world_size()
        state = self._resampler.state_dict()
        return self._resampler.state_dict(unused=state["position"] - used)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue there when the loader is made."""
        self._restored = state_dict

    def _stream(self, *, processes: int) -> IndexStream:
        items = self._dataset.items()
        compared = any(isinstance(item.target, Preference) for item in items)
        stream = self._resampling(
            # one score for all preferences: drawing by the natural distribution reads none
            mos=[RATING_MIDDLE] * len(items) if compared else [item.mos for item in items],
            seed=self._seed,
            total=self.steps(processes) * self.images_per_step(processes),
        )
        lacks = [name for name in STREAM_NEEDS if not hasattr(stream, name)]
        if lacks:
            raise ConfigError(
                f"resampling: {type(stream).__name__} has no {', '.join(lacks)}, which a stream of indices needs"
            )
        if compared and stream.weighted:
            raise ConfigError("resampling: preferences between images have no scores to weigh by; use natural")
        return stream


class _ProcessShare(Sampler[int]):
    """This process's part of a re-sampled stream; its length is the whole stage's, as Lightning counts batches."""

    def __init__(self, resampler: IndexStream, *, length: int) -> None:
        self._resampler, self._length = resampler, length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        return self._resampler.iterate(rank=rank(), world_size=world_size())
