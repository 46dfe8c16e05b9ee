"""Photographs as they would have been taken with faults of a camera and of its user: for training."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from zoom_iqa.base.ranges import require_whole
from zoom_iqa.base.types import Example, Sample, rated_example
from zoom_iqa.data.captured.capture import draw_capture
from zoom_iqa.data.embedded.pictures import Pictures


class CapturedSet(Dataset[Sample]):
    """``size`` pictures by turns, each taken anew; equal arguments give equal images.

    Raises:
        ConfigError: ``size`` is not a whole number of at least 1.
    """

    def __init__(self, *, pictures: Pictures, size: int, seed: int) -> None:
        require_whole("size", size, least=1)
        cv2.setNumThreads(0)  # loader workers are the parallelism
        self._pictures, self._seed = pictures, seed
        rng = np.random.default_rng(seed)
        names = [pictures.names[i] for i in rng.permutation(len(pictures.names))]
        self.captures = tuple(draw_capture(rng) for _ in range(size))
        self._items = tuple(
            replace(
                rated_example(id=f"{name}-c{i}", dataset="captured", mos=capture.mos, reference_id=name, split="train"),
                truth=capture.truth,
            )
            for i, (capture, name) in enumerate(zip(self.captures, itertools.cycle(names), strict=False))
        )

    def __len__(self) -> int:
        return len(self._items)

    @property
    def picture_names(self) -> Sequence[str]:
        """The names of the photographs that pictures are made of."""
        return self._pictures.names

    def items(self) -> list[Example]:
        """The records of all images in order, made without pixels."""
        return list(self._items)

    def __getitem__(self, index: int) -> Sample:
        example = self._items[index]
        assert example.reference_id is not None, "every picture is of a photograph"
        rng = np.random.default_rng((self._seed, index % len(self)))
        picture = self._pictures.draw(example.reference_id, rng)
        return Sample.of(example, Image.fromarray(self.captures[index].of(picture, rng)))
