"""Images coded as cameras save them: JPEG of a quality at which people see no difference.

Nearly every photograph that is judged has been a JPEG. A policy that has seen pristine pictures uncoded, and JPEG as a
fault alone, takes the faintest blocks for one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_share
from zoom_iqa.base.types import Example, Sample
from zoom_iqa.data.datasets import MadeImages
from zoom_iqa.data.distortions.compression import jpeg_coded


class CodedSet(Dataset[Sample]):
    """The images of a set, a ``share`` of them coded at a quality drawn from ``least`` to ``most``; labels stay.

    KADID-10k's mildest JPEG, at 43, costs 0.26 of a point; from 70 on it is taken to cost nothing.

    Raises:
        ConfigError: ``share`` is not from 0 to 1, or the qualities are not from 1 to 95 in this order.
    """

    def __init__(self, *, images: MadeImages, share: float, least: int, most: int, seed: int) -> None:
        require_share("share", share)
        if not 1 <= least <= most <= 95:
            raise ConfigError(f"least={least}, most={most}: give qualities from 1 to 95, the least first")
        self._images = images
        rng = np.random.default_rng(seed)
        coded = rng.random(len(images)) < share
        self.qualities = np.where(coded, rng.integers(least, most + 1, len(images)), 0)

    def __len__(self) -> int:
        return len(self._images)

    @property
    def picture_names(self) -> Sequence[str]:
        """The names of the photographs that pictures are made of."""
        return self._images.picture_names

    def items(self) -> Sequence[Example]:
        """The labels, in index order."""
        return self._images.items()

    def __getitem__(self, index: int) -> Sample:
        sample, quality = self._images[index], int(self.qualities[index])
        if not quality:
            return sample
        return Sample.of(sample.example, Image.fromarray(jpeg_coded(np.array(sample.image), quality)))
