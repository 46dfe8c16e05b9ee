"""A loader of samples whose workers hand over errors made on purpose as they are.

torch raises an error of a worker again with the worker's traceback as its message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from zoom_iqa.base.errors import ZoomIQAError
from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.viewable import LostImage, Replaced
from zoom_iqa.parallel.processes import settle


class Batch(list[Any]):
    """Samples; ``lost`` are images that could not be read, in the places of which others are."""

    lost: tuple[LostImage, ...] = ()


class SampleLoader(DataLoader[Any]):
    """Batches are lists of ``batch_size`` samples, each a Batch, made in ``workers`` processes (0: in this one).

    Raises:
        ZoomIQAError: when a batch is asked for of which a sample could not be made, with that sample's message.
    """

    def __init__(self, dataset: Any, *, batch_size: int, workers: int, sampler: Sampler[int] | None = None) -> None:
        super().__init__(
            _Handed(dataset),
            batch_size=batch_size,
            sampler=sampler,
            num_workers=workers,
            collate_fn=as_list,
            worker_init_fn=single_thread_worker,
            persistent_workers=False,
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch promises its own iterator
        if self.num_workers:
            settle()
        for batch in super().__iter__():
            yield _made(batch)


class _Handed(Dataset[Any]):
    """A sample, or the error made on purpose in its place."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            return self._dataset[index]
        except ZoomIQAError as error:
            return error


def _made(samples: Sequence[Any]) -> Batch:
    batch = Batch()
    lost: list[LostImage] = []
    for sample in samples:
        if isinstance(sample, ZoomIQAError):
            raise sample
        if isinstance(sample, Replaced):
            lost.extend(sample.lost)
        batch.append(sample.sample if isinstance(sample, Replaced) else sample)
    batch.lost = tuple(lost)
    return batch
