"""Images of any origin -> assessments, as many at a time as the policy takes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike

import torch
from PIL.Image import Image
from torch.utils.data import Dataset

from zoom_iqa.base.errors import ConfigError, ImageError
from zoom_iqa.base.ranges import require_answers, require_whole
from zoom_iqa.base.records import Record, record_of
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Example, ImagePart, ImageRef, RolloutGroup, Sample
from zoom_iqa.data.collation import worker_losses
from zoom_iqa.data.images import load_image, shown_image
from zoom_iqa.data.loader import SampleLoader
from zoom_iqa.engines.engine import Engine
from zoom_iqa.evaluation.assessment import Assessment, Outcome, Unfinished, Unviewable, closer_looks, expected_of
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect_groups, seed_of
from zoom_iqa.rollout.expected_ratings import expected_ratings
from zoom_iqa.rollout.watching import watch
from zoom_iqa.tasks.task import Task, derive_seed
from zoom_iqa.tasks.tools.crop import why_unviewable

Source = str | PathLike[str] | Image
"""A file, or an image that is there already."""

DATASET = "images"
UNNAMED = "image"


class ImageAssessor:
    """Rates images without labels; see ``zoom_iqa.Assessor`` for one from a policy's name.

    Each image is seen as ``load_image`` shows it with ``max_pixels`` and ``upright``, and gets ``samples`` answers.
    What is drawn for one follows from its pixels and ``seed`` alone: not from its name or from other images.
    ``sections`` are the labels of each turn's paragraphs, by role.

    Raises:
        ConfigError: a number is too small.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        task: Task,
        engine: Callable[..., Engine],
        sampling: SamplingParams,
        features_capacity: int,
        batch_size: int,
        samples: int,
        workers: int,
        seed: int,
        sections: Sequence[Sequence[str]],
        max_pixels: int | None,
        upright: bool,
    ) -> None:
        require_whole("batch_size", batch_size, least=1, note="it counts images at a time")
        require_answers("samples", samples, note="it counts answers an image")
        policy.model.eval()
        self.policy = policy
        self._features = VisionCache(model=policy.model, capacity=features_capacity)
        self._engine = engine(policy=policy, sampling=sampling, features=self._features)
        self._task, self._samples, self._seed, self._sections = task, samples, seed, sections
        self._batch_size, self._workers = batch_size, workers
        self._max_pixels, self._upright = max_pixels, upright

    def __deepcopy__(self, memo: dict[int, object]) -> ImageAssessor:
        return self  # a metric that is copied, as collections do, shares the policy: nothing of it changes

    def drawn_anew(self, times: int = 1) -> ImageAssessor:
        """The same, but for answers drawn anew: a second reading, to which a choice made by this one owes nothing."""
        other = copy.copy(self)
        other._seed = derive_seed(self._seed, "anew", times)
        return other

    def assess(self, image: Source) -> Assessment:
        """Assess one image.

        Raises:
            ImageError: it cannot be read, or is too thin to be shown to a policy.
        """
        (outcome,) = self.assess_many([image])
        if isinstance(outcome, Unviewable):
            raise ImageError(outcome.reason)
        return outcome

    def assess_many(self, images: Iterable[Source]) -> list[Outcome]:
        """Assess images in their order; one that cannot be viewed is an outcome that says why, and the rest go on.

        Raises:
            ConfigError: one image is given and no list of them.
        """
        if isinstance(images, str | PathLike | Image):
            raise ConfigError("assess_many takes a list of images; assess takes one")
        return [outcome for batch in self.batches(list(images)) for outcome in batch]

    def watch(self, image: Source) -> Iterator[Unfinished | Assessment]:
        """As ``assess``, told as it is written, a token at a time; the assessment comes last. One answer is given.

        Raises:
            ImageError: as ``assess``, before anything is told.
        """
        sample = _sampled(image, max_pixels=self._max_pixels, upright=self._upright)
        session = self._task.open(sample, index=0, seed=seed_of(sample.example, seed=self._seed))
        size = sample.image.size
        for text in watch(session, engines={"policy": self._engine}):
            written = tuple(step.generation.text for step in session.steps)
            looks = closer_looks(session.steps, size)
            yield Unfinished(size=size, texts=(*written, text), looks=looks, sections=self._sections)
        records = self._records(RolloutGroup(sample.example, (session.rollout(),)))
        yield self._assessment(_name(image), sample, records)

    @torch.no_grad()
    def batches(self, images: Sequence[Source]) -> Iterator[list[Outcome]]:
        """As ``assess_many``, a batch at a time as it is done.

        Raises:
            ProcessError: a process that loads images died.
        """
        viewed = _Viewed(images, max_pixels=self._max_pixels, upright=self._upright)
        batches = -(-len(images) // self._batch_size)
        ahead = max(0, min(self._workers, batches - 1))  # while one batch is judged, so many others can be loaded
        with worker_losses():
            for number, loaded in enumerate(SampleLoader(viewed, batch_size=self._batch_size, workers=ahead)):
                named = images[number * self._batch_size :]
                yield self._assessed([_name(image) for image in named[: len(loaded)]], loaded)

    @property
    def upright(self) -> bool:
        """Whether images are turned as their EXIF data say before they are judged."""
        return self._upright

    def view(self, image: Source) -> Image:
        """The pixels that are judged.

        Raises:
            ImageError: it cannot be read, or is too thin to be shown to a policy.
        """
        return _view(image, max_pixels=self._max_pixels, upright=self._upright).image

    def _assessed(self, names: Sequence[str], loaded: Sequence[Sample | Unviewable]) -> list[Outcome]:
        """Equal pixels are judged once."""
        distinct = {sample.example.id: sample for sample in loaded if isinstance(sample, Sample)}
        groups = collect_groups(
            list(distinct.values()),
            task=self._task,
            engines={"policy": self._engine},
            group_size=self._samples,
            seed=self._seed,
        )
        records = {group.example.id: self._records(group) for group in groups}
        return [
            one if isinstance(one, Unviewable) else self._assessment(name, one, records[one.example.id])
            for name, one in zip(names, loaded, strict=True)
        ]

    def _assessment(self, name: str, sample: Sample, records: tuple[Record, ...]) -> Assessment:
        return Assessment(
            source=name,
            size=sample.image.size,
            records=records,
            expected=expected_of(records),
            sections=self._sections,
        )

    def _records(self, group: RolloutGroup) -> tuple[Record, ...]:
        expected = expected_ratings(group.rollouts, policy=self.policy, features=self._features)
        pairs = zip(group.rollouts, expected, strict=True)
        return tuple(record_of(rollout, expected=rating) for rollout, rating in pairs)


class _Viewed(Dataset["Sample | Unviewable"]):
    """The images as samples, read when they are asked for."""

    def __init__(self, images: Sequence[Source], *, max_pixels: int | None, upright: bool) -> None:
        self._images = images
        self._max_pixels, self._upright = max_pixels, upright

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample | Unviewable:
        source = self._images[index]
        try:
            return _sampled(source, max_pixels=self._max_pixels, upright=self._upright)
        except ImageError as error:
            return Unviewable(source=_name(source), reason=str(error))


def _sampled(source: Source, *, max_pixels: int | None, upright: bool) -> Sample:
    part = _view(source, max_pixels=max_pixels, upright=upright)
    ref = ImageRef(path=None if isinstance(source, Image) else str(source))
    return Sample(Example(id=part.key, dataset=DATASET, images=(ref,)), (part,))


def _view(source: Source, *, max_pixels: int | None, upright: bool) -> ImagePart:
    if not isinstance(source, str | PathLike | Image):
        kind = type(source).__name__
        raise ImageError(f"{kind}: give the name of a file, or an image of Pillow, such as Image.fromarray(array)")
    if isinstance(source, Image):
        part = ImagePart.of(shown_image(source, max_pixels=max_pixels, upright=upright))
    else:
        part = ImagePart.of(load_image(str(source), max_pixels=max_pixels, upright=upright))
    why = why_unviewable([part])
    if why is not None:
        raise ImageError(f"{_name(source)}: {why}")
    return part


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | PathLike) else UNNAMED
