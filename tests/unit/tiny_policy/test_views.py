"""Views of the warm-up: labels follow the pixels through crops, flips and transpositions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from zoom_iqa.base.types import Sample, Truth, rated_example
from zoom_iqa.tiny_policy.views import ViewPool, view_pair

REGION = (0.5, 0.25, 0.75, 0.75)

SIZE = {"height": 288, "width": 384}


def sample(width: int, height: int, mos: float = 2.5) -> Sample:
    """Black, with its region white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = (round(f * s) for f, s in zip(REGION, (width, height) * 2, strict=True))
    pixels[y1:y2, x1:x2] = 255
    truth = Truth(distortion="motion_blur", level=3.5, region=REGION)
    example = replace(rated_example(id="white", dataset="embedded", mos=mos), truth=truth)
    return Sample.of(example, Image.fromarray(pixels))


def white_share(pixels: torch.Tensor, region: torch.Tensor) -> tuple[float, float]:
    """Mean grey inside and outside of a region of a view."""
    height, width = pixels.shape[:2]
    x, y = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    x1, y1, x2, y2 = region
    inside = ((y > y1) & (y < y2))[:, None] & ((x > x1) & (x < x2))[None]
    grey = pixels[..., 0].float() / 255
    return float(grey[inside].mean()), float(grey[~inside].mean())


@pytest.mark.parametrize("size", [(512, 384), (384, 512)])
def test_region_lies_on_the_same_pixels_in_both_views(size):
    views = view_pair(sample(*size), np.random.default_rng(3), **SIZE, picture=5)
    assert views.pixels_BHW3.shape == (2, 288, 384, 3)
    for pixels, region in zip(views.pixels_BHW3, views.region_B4, strict=True):
        inside, outside = white_share(pixels, region)
        assert inside > 0.95
        assert outside < 0.05
    assert views.kind_B.tolist() == [3, 3]
    assert views.picture_B.tolist() == [5, 5]


def test_drawn_sub_views_keep_their_region_under_every_flip():
    pair = view_pair(sample(512, 384), np.random.default_rng(3), **SIZE, picture=5)
    pool = ViewPool(stream=iter([pair] * 50), capacity=4, rng=np.random.default_rng(0), device=torch.device("cpu"))
    pool.fill()
    shapes = set()
    for _ in range(20):
        views = pool.draw(2, height=96, width=128)
        shapes.add(tuple(views.pixels_BHW3.shape[1:3]))
        for pixels, region in zip(views.pixels_BHW3, views.region_B4, strict=True):
            if (region[:2] < 1).all() and (region[2:] > 0).all():
                inside, outside = white_share(pixels, region)
                assert np.isnan(inside) or inside > 0.9
                assert np.isnan(outside) or outside < 0.1
    assert shapes == {(96, 128), (128, 96)}


def test_refreshing_replaces_the_oldest_views_first():
    stream = iter(
        [view_pair(sample(512, 384, mos), np.random.default_rng(0), **SIZE, picture=0) for mos in (1, 2, 3, 4)]
    )
    pool = ViewPool(stream=stream, capacity=4, rng=np.random.default_rng(0), device=torch.device("cpu"))
    pool.fill()

    def kept() -> list[float]:
        return sorted(pool.draw(4, height=96, width=128).mos_B.tolist())

    assert kept() == [1, 1, 2, 2]
    pool.refresh()
    assert kept() == [2, 2, 3, 3]
    pool.refresh()
    assert kept() == [3, 3, 4, 4]


def test_rows_that_are_named_are_the_only_ones_drawn():
    stream = iter([view_pair(sample(512, 384), np.random.default_rng(i), **SIZE, picture=i) for i in range(4)])
    pool = ViewPool(stream=stream, capacity=8, rng=np.random.default_rng(0), device=torch.device("cpu"))
    pool.fill()
    pool.draw_among(np.array([2, 3, 6]))
    assert sorted(pool.draw(3, height=96, width=128).picture_B.tolist()) == [1, 1, 3]
    pool.draw_among(None)
    assert sorted(pool.draw(8, height=96, width=128).picture_B.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
