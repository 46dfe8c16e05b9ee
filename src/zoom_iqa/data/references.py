"""Texts that people wrote about images: a file of them, and their way to the images of a benchmark.

A file holds one text a line, as JSON: ``{"dataset": "koniq", "file": "826373.jpg", "split": "train", "annotator": 0,
"description": ..., "good": ..., "bad": ...}``. ``annotator`` null stands for a summary of what all of them wrote.
``python -m zoom_iqa.data convert`` makes such a file from a published one.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch.utils.data import Dataset

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import Example, Sample
from zoom_iqa.data.datasets import ImageBenchmark, ImageDataset, benchmark_images
from zoom_iqa.data.embedded.images import SYNTHETIC
from zoom_iqa.data.text_files import parse_json, read_lines
from zoom_iqa.parallel.processes import rank

Key = tuple[str, str]
"""Data set and file name of an image."""

_TEXTS = ("description", "good", "bad")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One person's text about one image, or where ``annotator`` is None a summary of all persons' texts.

    ``description`` is what the image shows, ``good`` what makes it look good, ``bad`` what makes it look bad; ``split``
    is train, test or None where nobody says.
    """

    dataset: str
    file: str
    split: str | None
    annotator: int | None
    description: str
    good: str
    bad: str

    @property
    def key(self) -> Key:
        """The image it is about."""
        return self.dataset, self.file

    @property
    def text(self) -> str:
        """Description, good and bad as one text."""
        return " ".join(part for part in (self.description, self.good, self.bad) if part)


def write_references(path: Path, references: Iterable[Reference]) -> None:
    """Write a file that ``read_references`` reads."""
    with whole_text_file(path) as file:
        for reference in references:
            file.write(json.dumps(asdict(reference), ensure_ascii=False) + "\n")


def read_references(path: Path) -> tuple[Reference, ...]:
    """Every line, in order.

    Raises:
        DataError: the file cannot be read, or lines of it are unusable; all of them are listed.
    """
    found, faults = [], []
    for number, line in read_lines(path):
        try:
            found.append(_reference(parse_json(line)))
        except DataError as error:
            faults.append(f"{path}, line {number}: {error}")
    if faults:
        raise DataError(
            f"{len(faults)} lines of {path} are no references; make the file with: python -m zoom_iqa.data convert "
            "q-reasoning SOURCE OUT",
            faults,
        )
    if not found:
        raise DataError(f"{path} holds no references; convert texts into it, or give null in its place")
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Attached:
    """How references and images met: images with a text of ``total``, how many of them are of the test split that the
    references have, and texts about images that are not there.
    """

    dataset: str
    total: int
    with_text: int
    of_test: int
    elsewhere: int

    def __str__(self) -> str:
        of_test = f" ({self.of_test:,} of them of the references' own test split)" if self.of_test else ""
        return (
            f"references: {self.with_text:,} of {self.total:,} images of {self.dataset} have a text that people "
            f"wrote{of_test}; {self.elsewhere:,} texts are about images that are not here"
        )


class ReferencedImages(Dataset[Sample]):
    """The images of a data set with the references about them; the others have none.

    ``key`` is the config key that the references are given by, for messages.

    Raises:
        DataError: no reference is about a data set of this name, or one is about several of its images.
    """

    def __init__(self, *, dataset: ImageDataset, references: Sequence[Reference], key: str) -> None:
        self._dataset = dataset
        self._texts = _by_image(references)
        items = dataset.items()
        names = {reference.dataset for reference in references}
        missing = sorted({item.dataset for item in items} - names)
        if missing:
            raise DataError(
                f"references of {', '.join(sorted(names))} are given for images of {', '.join(missing)}; give those of "
                f"this data set, or {key}=null"
            )
        _require_own_names(items, self._texts)
        self._items = tuple(self._attach(item) for item in items)
        here = {_key(item) for item in items}
        self.attached = Attached(
            dataset=items[0].dataset,
            total=len(items),
            with_text=sum(item.human_text is not None for item in self._items),
            of_test=len(here & {reference.key for reference in references if reference.split == "test"}),
            elsewhere=sum(reference.key not in here for reference in references),
        )

    def items(self) -> Sequence[Example]:
        """The labels, in index order."""
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sample:
        sample = self._dataset[index]
        return replace(sample, example=self._attach(sample.example))

    def _attach(self, example: Example) -> Example:
        summary, texts = self._texts.get(_key(example), (None, ()))
        return replace(example, references=texts, summary=summary)


def _require_own_names(items: Sequence[Example], texts: Mapping[Key, object]) -> None:
    """Pass images of which no two share the file name of a text.

    Raises:
        DataError: some do, and all of them are listed.
    """
    by_name: dict[Key, list[str]] = {}
    for item in items:
        by_name.setdefault(_key(item), []).append(item.path or item.name)
    shared = [f"{key[1]}: {', '.join(paths)}" for key, paths in by_name.items() if key in texts and len(paths) > 1]
    if shared:
        raise DataError("texts name images by their file names, and several images have one; rename them", shared)


@runtime_checkable
class WritesReferences(Protocol):
    """A data set that makes texts of what it knows about its images."""

    def referenced(self) -> ImageDataset:
        """The same images with references."""
        ...


def referenced_images(
    *,
    benchmark: ImageBenchmark,
    split: str,
    max_pixels: int | None,
    upright: bool,
    size: int | None,
    references: str | None,
) -> ImageDataset:
    """The images of a benchmark's split with their references, for data configs; see ``with_references``."""
    images = benchmark_images(benchmark=benchmark, split=split, max_pixels=max_pixels, upright=upright, size=size)
    return with_references(images, references, key="data.references")


def with_references(images: ImageDataset, path: str | None, *, key: str) -> ImageDataset:
    """``images`` with the references of a file, or synthetic ones; None leaves them as they are. Says what it attached.

    ``key`` is the config key that ``path`` is given by, for messages.

    Raises:
        ConfigError: there is no such file, or synthetic ones are asked for and the data set writes none.
        DataError: the file cannot be used, or is about other data sets.
    """
    if path is None:
        return images
    if path == SYNTHETIC:
        if not isinstance(images, WritesReferences):
            raise ConfigError(f"{key}={path}: only the embedded set writes texts itself; give a file")
        return images.referenced()
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(
            f"{key}={path}: there is no such file; give one that python -m zoom_iqa.data convert q-reasoning has "
            f"written, {SYNTHETIC} for the embedded set, or null"
        )
    referenced = ReferencedImages(dataset=images, references=read_references(file), key=key)
    if rank() == 0:
        print(referenced.attached, file=sys.stderr)
    return referenced


def _by_image(references: Sequence[Reference]) -> Mapping[Key, tuple[str | None, tuple[str, ...]]]:
    """The first summary and the annotators' texts of each image, in their order."""
    summaries: dict[Key, str] = {}
    texts: dict[Key, dict[int, str]] = {}
    for reference in references:
        if reference.annotator is None:
            summaries.setdefault(reference.key, reference.text)
        else:
            texts.setdefault(reference.key, {}).setdefault(reference.annotator, reference.text)
    keys = dict.fromkeys([*summaries, *texts])
    return {key: (summaries.get(key), tuple(text for _, text in sorted(texts.get(key, {}).items()))) for key in keys}


def _key(example: Example) -> Key:
    """By the name of its file: benchmarks differ in how they make ids of it."""
    return example.dataset, os.path.basename(example.path or example.id)


def _reference(value: object) -> Reference:
    if not isinstance(value, dict):
        raise DataError("a JSON object is needed")
    names = ("dataset", "file", "split", "annotator", *_TEXTS)
    missing = [name for name in names if name not in value]
    if missing:
        raise DataError(f"no {', '.join(missing)}")
    for name in ("dataset", "file", *_TEXTS):
        if not isinstance(value[name], str):
            raise DataError(f"{name} is {value[name]!r}; a text is needed")
    if value["split"] not in ("train", "test", None):
        raise DataError(f"split is {value['split']!r}; train, test or null is needed")
    annotator = value["annotator"]
    if annotator is not None and (isinstance(annotator, bool) or not isinstance(annotator, int)):
        raise DataError(f"annotator is {annotator!r}; a whole number or null is needed")
    if not any(value[name].strip() for name in _TEXTS):
        raise DataError(f"{', '.join(_TEXTS)} are empty")
    return Reference(**{name: value[name] for name in names})
