"""The pictures that the vision tower is warmed up on: distorted, as the two turns of the protocol show them.

Each image gives two views of one size: the whole image reduced, and a crop of it near its own resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from zoom_iqa.base.types import Sample
from zoom_iqa.data.datasets import MadeImages
from zoom_iqa.data.distortions import NAMED
from zoom_iqa.data.embedded.images import LEAVES
from zoom_iqa.tasks.tools.crop import crop_image

CROP_SIDES = (0.5, 0.85)  # of the image's sides: the protocol's crops have 25 to 75 % of the area
LOOK_AT_REGION = 0.9  # how often the crop of a locally distorted image shows its region
NO_KIND = 0  # kinds are numbered 1 to 25

Box = tuple[float, float, float, float]
"""(x1, y1, x2, y2) as fractions of width and height; of a view, it may reach beyond it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Views:
    """A batch of B views with what is true of them.

    ``pixels_BHW3`` uint8 RGB; ``mos_B`` of the image on 1-5; ``kind_B`` the distortion's number, 0 for none;
    ``severity_B`` on 1-5; ``local_B`` whether it is in one region only; ``region_B4`` where, in fractions of the view;
    ``picture_B`` numbers the photograph.
    """

    pixels_BHW3: Tensor
    mos_B: Tensor
    kind_B: Tensor
    severity_B: Tensor
    local_B: Tensor
    region_B4: Tensor
    picture_B: Tensor


class ViewPairs(Dataset[Views]):
    """The two views of each image of a set, ``height`` x ``width`` pixels; equal seeds give equal crops."""

    def __init__(self, *, images: MadeImages, height: int, width: int, seed: int) -> None:
        self._images, self._height, self._width, self._seed = images, height, width, seed
        self._numbers = {name: number for number, name in enumerate(images.picture_names)}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Views:
        sample = self._images[index]
        rng = np.random.default_rng((self._seed, index))
        number = self._numbers[str(sample.example.reference_id).removeprefix(LEAVES)]
        return view_pair(sample, rng, height=self._height, width=self._width, picture=number)


def view_pair(sample: Sample, rng: np.random.Generator, *, height: int, width: int, picture: int) -> Views:
    """The reduced image and a crop; those of an upright image are transposed, so that all views have one shape."""
    truth = sample.example.truth
    assert truth is not None, "a set knows what it made"
    box = _crop_box(truth.region, rng)
    region = truth.region or (0.0, 0.0, 1.0, 1.0)
    upright = sample.image.height > sample.image.width
    boxes = [region, _inside(region, box)]
    pixels = [_reduce(image, height, width, upright) for image in (sample.image, crop_image(sample.image, box))]
    if upright:
        boxes = [(y1, x1, y2, x2) for x1, y1, x2, y2 in boxes]
    kind = NO_KIND if truth.distortion is None else NAMED[truth.distortion].number
    return Views(
        pixels_BHW3=torch.from_numpy(np.stack(pixels)),
        mos_B=torch.full((2,), sample.example.mos),
        kind_B=torch.full((2,), kind),
        severity_B=torch.full((2,), truth.level),
        local_B=torch.full((2,), truth.region is not None),
        region_B4=torch.tensor(boxes),
        picture_B=torch.full((2,), picture),
    )


def _crop_box(region: Box | None, rng: np.random.Generator) -> Box:
    side = rng.uniform(*CROP_SIDES)
    centre = rng.uniform(side / 2, 1 - side / 2, size=2)
    if region is not None and rng.random() < LOOK_AT_REGION:
        middle = np.array([region[0] + region[2], region[1] + region[3]]) / 2 + rng.uniform(-0.1, 0.1, size=2)
        centre = np.clip(middle, side / 2, 1 - side / 2)
    x, y = (float(c) for c in centre)
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def _inside(region: Box, box: Box) -> Box:
    """The region in fractions of the box."""
    width, height = box[2] - box[0], box[3] - box[1]
    x1, y1, x2, y2 = region
    return (x1 - box[0]) / width, (y1 - box[1]) / height, (x2 - box[0]) / width, (y2 - box[1]) / height


def _reduce(image: Image.Image, height: int, width: int, upright: bool) -> np.ndarray:
    size = (height, width) if upright else (width, height)
    pixels = np.array(image.resize(size, Image.Resampling.BICUBIC))
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)) if upright else pixels


class ViewPool:
    """Keeps the last ``capacity`` views of a stream on ``device`` and cuts batches of sub-views from them.

    Distorting is slower than learning: a view serves a few times, cut and flipped differently. Sub-views
    (``height`` x ``width`` pixels) carry nearly the label of the view at a fraction of the cost.
    """

    def __init__(
        self, *, stream: Iterator[Views], capacity: int, rng: np.random.Generator, device: torch.device
    ) -> None:
        self._stream, self._rng, self._device, self._next = stream, rng, device, 0
        first = next(stream)
        self._kept = Views(
            **{
                name: torch.empty((capacity, *values.shape[1:]), dtype=values.dtype, device=device)
                for name, values in vars(first).items()
            }
        )
        self._filled = 0
        self._drawn: np.ndarray | None = None
        self._keep(first)

    @property
    def kept(self) -> Views:
        """All views of a pool that is filled."""
        return self._kept

    def draw_among(self, rows: np.ndarray | None) -> None:
        """Draw these rows of the pool alone from now on; None draws all."""
        self._drawn = rows

    def fill(self) -> None:
        """Take from the stream until the pool is full."""
        while self._filled < len(self._kept.mos_B):
            self.refresh()

    def refresh(self) -> None:
        """Replace the oldest views by the next ones of the stream."""
        self._keep(next(self._stream))

    def _keep(self, fresh: Views) -> None:
        capacity, count = len(self._kept.mos_B), len(fresh.mos_B)
        places = (self._next + torch.arange(count)) % capacity
        for name, values in vars(fresh).items():
            getattr(self._kept, name)[places.to(self._device)] = values.to(self._device, non_blocking=True)
        self._next = (self._next + count) % capacity
        self._filled = min(capacity, self._filled + count)

    def draw(self, count: int, *, height: int, width: int) -> Views:
        """``count`` distinct views cut to one size; half of the batches are mirrored, half transposed."""
        among = self._filled if self._drawn is None else self._drawn
        rows = torch.from_numpy(self._rng.choice(among, count, replace=False)).to(self._device)
        view_height, view_width = self._kept.pixels_BHW3.shape[1:3]
        top = int(self._rng.integers(0, view_height - height + 1))
        left = int(self._rng.integers(0, view_width - width + 1))
        pixels = self._kept.pixels_BHW3[rows, top : top + height, left : left + width]
        scale = torch.tensor([view_width, view_height] * 2, device=self._device)
        corner, size = (torch.tensor(pair * 2, device=self._device) for pair in ([left, top], [width, height]))
        region = (self._kept.region_B4[rows] * scale - corner) / size
        if self._rng.random() < 0.5:
            pixels = pixels.flip(2)
            region = torch.stack([1 - region[:, 2], region[:, 1], 1 - region[:, 0], region[:, 3]], 1)
        if self._rng.random() < 0.5:
            pixels, region = pixels.transpose(1, 2), region[:, [1, 0, 3, 2]]
        return Views(
            pixels_BHW3=pixels,
            mos_B=self._kept.mos_B[rows],
            kind_B=self._kept.kind_B[rows],
            severity_B=self._kept.severity_B[rows],
            local_B=self._kept.local_B[rows],
            region_B4=region,
            picture_B=self._kept.picture_B[rows],
        )


def join_views(views: list[Views]) -> Views:
    """Several batches as one."""
    return Views(**{name: torch.cat([getattr(view, name) for view in views]) for name in vars(views[0])})
