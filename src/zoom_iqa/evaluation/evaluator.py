"""Runs a policy over a data set through the two-turn protocol and keeps what it said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch.utils.data import DataLoader, Subset

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import ImageItem, ImageSample
from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.validation import validate_items
from zoom_iqa.engines.engine import Engine
from zoom_iqa.evaluation.predictions import (
    Prediction,
    PredictionFile,
    merge_shares,
    prediction_of,
    read_predictions,
    share_of,
    write_predictions,
)
from zoom_iqa.parallel.processes import rank, wait_for_all, world_size
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.prompts import PromptSet

EngineFactory = Callable[..., Engine]
"""Makes an engine from ``policy=``, ``sampling=`` and ``features=``."""


class ImageDataset(Protocol):
    """A map-style data set of labelled images whose labels are known without their pixels."""

    def items(self) -> Sequence[ImageItem]:
        """The labels, in index order."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> ImageSample: ...


class Evaluator:
    """Predicts every image of ``dataset`` with ``samples_per_image`` trajectories, ``batch_size`` images at a time.

    Sampling is seeded per image, so batch size and what was predicted before do not matter.

    Raises:
        ConfigError: a number is too small.
        DataError: the data set is empty, or a label, id or file of it is unusable; every such row is listed.
    """

    def __init__(
        self,
        *,
        dataset: ImageDataset,
        prompts: PromptSet,
        engine: EngineFactory,
        sampling: SamplingParams,
        features_capacity: int,
        batch_size: int,
        samples_per_image: int,
        workers: int,
        seed: int,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("samples_per_image", samples_per_image)):
            if value < 1:
                raise ConfigError(f"{name}={value} of an evaluation must be at least 1")
        if features_capacity < 0:
            raise ConfigError(f"features_capacity={features_capacity} must be 0 (keeps none) or more")
        if workers < 0:
            raise ConfigError(f"workers={workers} must be 0 (load in the process itself) or more")
        validate_items(dataset.items())
        self._dataset = dataset
        self._prompts = prompts
        self._engine, self._sampling, self._features_capacity = engine, sampling, features_capacity
        self._batch_size = batch_size
        self._samples = samples_per_image
        self._workers = workers
        self._seed = seed

    @property
    def dataset_name(self) -> str:
        """The name its images bear."""
        return self._dataset.items()[0].dataset

    def run(self, policy: Policy, *, path: Path, title: str | None) -> tuple[Prediction, ...]:
        """Predict what ``path`` does not hold yet and return all predictions in the data set's order.

        Every process must call it: each predicts a share, in a file of its own beside ``path``, and returns everything.
        At the end ``path`` is in the data set's order too. Progress is shown under ``title``, or not without one.

        Raises:
            DataError: ``path`` holds predictions of images whose label is another one now.
        """
        items = self._dataset.items()
        done = self._collected(path)  # a run of several processes may have been stopped before its shares were merged
        _check_labels(path, done, items)
        open_indices = [
            index
            for index, item in enumerate(items)
            if any((item.dataset, item.id, sample) not in done for sample in range(self._samples))
        ]
        own = open_indices[rank() :: world_size()]
        before = len(items) - len(open_indices)
        share = path if world_size() == 1 else share_of(path, rank())
        line = ProgressLine(title or "", total=before + len(own), shown=rank() == 0 and title is not None)
        with PredictionFile(share) as file, line as progress, _evaluating(policy):
            progress.start_at(before)
            for predictions in self._predict(policy, own):
                file.append(p for p in predictions if p.key not in done)
                progress.advance(len(predictions) // self._samples)
        done = self._collected(path)
        ordered = tuple(done[item.dataset, item.id, sample] for item in items for sample in range(self._samples))
        if rank() == 0 and ordered != tuple(done.values()):
            write_predictions(path, ordered)  # shares and restarts have mixed the order
        wait_for_all()
        return ordered

    def _collected(self, path: Path) -> dict[tuple[str, str, int], Prediction]:
        """What all processes have predicted so far, merged by the first."""
        wait_for_all()
        if rank() == 0:
            merge_shares(path)
        wait_for_all()
        return {prediction.key: prediction for prediction in read_predictions(path)}

    @torch.no_grad()
    def _predict(self, policy: Policy, indices: Sequence[int]) -> Iterator[list[Prediction]]:
        features = VisionCache(model=policy.model, capacity=self._features_capacity)
        engine = self._engine(policy=policy, sampling=self._sampling, features=features)
        loader: DataLoader[ImageSample] = DataLoader(
            Subset(self._dataset, indices),  # type: ignore[arg-type]  # our protocol stands for torch's Dataset
            batch_size=self._batch_size,
            num_workers=self._workers,
            collate_fn=as_list,
            worker_init_fn=single_thread_worker,
        )
        for samples in loader:
            started = time.perf_counter()
            groups = collect_groups(
                samples, engine=engine, prompts=self._prompts, group_size=self._samples, seed=self._seed
            )
            seconds = (time.perf_counter() - started) / (len(samples) * self._samples)
            policy.images.clear()
            yield [prediction_of(rollout, seconds=seconds) for group in groups for rollout in group.rollouts]


@contextmanager
def _evaluating(policy: Policy) -> Iterator[None]:
    """Evaluation mode within the block; the mode before it again after it, however it ends."""
    was_training = policy.model.training
    policy.model.eval()
    try:
        yield
    finally:
        policy.model.train(was_training)


def _check_labels(path: Path, done: Mapping[tuple[str, str, int], Prediction], items: Sequence[ImageItem]) -> None:
    mos = {(item.dataset, item.id): item.mos for item in items}
    changed = [
        f"{p.dataset}:{p.id}: {p.mos:g} then, {mos[p.dataset, p.id]:g} now"
        for p in done.values()
        if mos.get((p.dataset, p.id), p.mos) != p.mos
    ]
    if changed:
        raise DataError(f"{path} holds predictions made with other labels; remove it to predict again", changed)
