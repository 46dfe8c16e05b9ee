"""Runs a policy over a data set through a task and keeps what it said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils.data import Subset

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_answers, require_whole
from zoom_iqa.base.records import Record, record_of, record_without_answer
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Example, Message, ParseFailure, RolloutGroup, Sample
from zoom_iqa.data.collation import worker_losses
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.data.loader import SampleLoader
from zoom_iqa.data.validation import validate_items
from zoom_iqa.engines.engine import Engine, rest
from zoom_iqa.evaluation.probe_figures import check_names
from zoom_iqa.evaluation.resumable import predict_missing
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.rollout.expected_ratings import expected_ratings
from zoom_iqa.rollout.probe import Probe
from zoom_iqa.tasks.task import Task, check_examples
from zoom_iqa.tasks.tools.crop import why_unviewable

EngineFactory = Callable[..., Engine]
"""Makes an engine from ``policy=``, ``sampling=`` and ``features=``."""


class Evaluator:
    """Predicts every image of ``dataset`` with ``samples_per_image`` trajectories, ``batch_size`` images at a time.

    An image that no policy can be shown has records without an answer, of failure ``unviewable``.

    ``probes`` are asked about each trajectory, and their answers kept with it.

    Sampling is seeded per image, so batch size and what was predicted before do not matter.

    Raises:
        ConfigError: a number is too small, several answers would be the same, or a probe's name is taken.
        DataError: the data set is empty, a label, id or file of it is unusable, or the task cannot ask about its
            examples; every such row is listed.
    """

    def __init__(
        self,
        *,
        dataset: ImageDataset,
        task: Task,
        engine: EngineFactory,
        sampling: SamplingParams,
        features_capacity: int,
        batch_size: int,
        samples_per_image: int,
        workers: int,
        seed: int,
        probes: Mapping[str, Probe],
    ) -> None:
        require_whole("batch_size", batch_size, least=1, note="it counts an evaluation's images at a time")
        require_answers("samples_per_image", samples_per_image, note="it counts an evaluation's answers")
        if samples_per_image > 1 and sampling.greedy:
            raise ConfigError(
                f"samples_per_image={samples_per_image}: the likeliest answer is the same every time; ask for one "
                "(samples_per_image=1, in training evaluator.samples_per_image=1), or take evaluator=sampled"
            )
        require_whole("features_capacity", features_capacity, least=0, note="0 keeps none")
        require_whole("workers", workers, least=0, note="0 loads in the process itself")
        check_names(probes)
        validate_items(dataset.items())
        check_examples(task, dataset.items())
        self._dataset = dataset
        self._task = task
        self._engine, self._sampling, self._features_capacity = engine, sampling, features_capacity
        self._batch_size = batch_size
        self._samples = samples_per_image
        self._workers = workers
        self._seed, self._probes = seed, probes

    @property
    def dataset(self) -> ImageDataset:
        """The images that are evaluated."""
        return self._dataset

    @property
    def dataset_name(self) -> str:
        """The name its images bear."""
        return self._dataset.items()[0].dataset

    @property
    def examples(self) -> Sequence[Example]:
        """The labels of its images, in order."""
        return self._dataset.items()

    def first_prompt(self) -> tuple[Message, ...]:
        """The prompt that a trajectory of its first image begins with."""
        request = self._task.open(self._dataset[0], index=0, seed=self._seed).next_request()
        assert request is not None, "a session begins with a request"
        return request.prompt

    def run(self, policy: Policy, *, path: Path, title: str | None) -> tuple[Record, ...]:
        """Predict what ``path`` does not hold yet and return all records in the data set's order.

        Every process must call it; see ``predict_missing``.

        Raises:
            DataError: ``path`` holds predictions of images whose label is another one now.
        """
        with _evaluating(policy), worker_losses():
            return predict_missing(
                path,
                self._dataset.items(),
                samples=self._samples,
                predict=lambda indices: self._predict(policy, indices),
                title=title,
            )

    @torch.no_grad()
    def _predict(self, policy: Policy, indices: Sequence[int]) -> Iterator[list[Record]]:
        features = VisionCache(model=policy.model, capacity=self._features_capacity)
        engine = self._engine(policy=policy, sampling=self._sampling, features=features)
        chosen: Subset[Sample] = Subset(self._dataset, indices)  # type: ignore[arg-type]  # our protocol, not torch's
        loader = SampleLoader(chosen, batch_size=self._batch_size, workers=self._workers)
        try:
            for batch in loader:
                samples = [sample for sample in batch if why_unviewable(sample.images) is None]
                if len(samples) < len(batch):
                    yield [record for sample in batch for record in self._unviewable(sample)]
                if not samples:
                    continue
                started = time.perf_counter()
                groups = collect_groups(
                    samples,
                    task=self._task,
                    engines={"policy": engine},
                    group_size=self._samples,
                    seed=self._seed,
                    probes=self._probes,
                )
                seconds = (time.perf_counter() - started) / (len(samples) * self._samples)
                yield [record for group in groups for record in _records(group, policy, features, seconds)]
        finally:
            rest(engine)

    def _unviewable(self, sample: Sample) -> list[Record]:
        """The records of a sample that the policy cannot be shown; none of others."""
        why = why_unviewable(sample.images)
        failure = None if why is None else ParseFailure("unviewable", why)
        return [
            record_without_answer(sample.example, sample=index, failure=failure)
            for index in range(self._samples)
            if failure is not None
        ]


def _records(group: RolloutGroup, policy: Policy, features: VisionCache, seconds: float) -> Iterator[Record]:
    """The records of an image, with the ratings that its answers were drawn from."""
    expected = expected_ratings(group.rollouts, policy=policy, features=features)
    for rollout, rating in zip(group.rollouts, expected, strict=True):
        yield record_of(rollout, expected=rating, seconds=seconds)


@contextmanager
def _evaluating(policy: Policy) -> Iterator[None]:
    """Evaluation mode within the block; the mode before it again after it, however it ends."""
    was_training = policy.model.training
    policy.model.eval()
    try:
        yield
    finally:
        policy.model.train(was_training)
