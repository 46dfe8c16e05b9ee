"""The mean expected rating of images as a metric of torchmetrics, for people who train restorers and generators."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchmetrics import Metric

from zoom_iqa.base.errors import ImageError, UndefinedMetricError
from zoom_iqa.evaluation.assessment import Assessment, Outcome
from zoom_iqa.evaluation.assessor import Source

FAR_BEYOND = 2.0
"""Values above are no overshoot: they are of 8 bits."""


class AssessesMany(Protocol):
    """The verb of an assessor that the metric needs."""

    def assess_many(self, images: list[Source]) -> list[Outcome]:
        """An outcome for each image."""
        ...


class ZoomIQAScore(Metric):
    """``update`` with images (B, 3, H, W), floats in [0, 1] or bytes; ``compute`` the mean of their expected ratings.

    The result is on 1-5, 5 best, over the images whose rating could be read; ``unreadable`` counts the others. The
    assessor's policy is no submodule: it is neither trained nor saved with what holds the metric. No gradient flows.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 1.0
    plot_upper_bound = 5.0
    total: Tensor
    rated: Tensor
    unreadable: Tensor

    def __init__(self, assessor: AssessesMany) -> None:
        super().__init__()
        self._assessor = assessor
        self.add_state("total", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rated", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("unreadable", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def forward(self, images: Tensor) -> Tensor:
        """Count a batch; the mean of it alone, of this process.

        Raises:
            ImageError: as ``update``.
            UndefinedMetricError: no rating of the batch could be read; it is counted all the same.
        """
        total, rated, unreadable = (getattr(self, name).clone() for name in ("total", "rated", "unreadable"))
        self.update(images)
        return _mean(self.total - total, self.rated - rated, self.unreadable - unreadable)

    def update(self, images: Tensor) -> None:
        """Assess a batch.

        Raises:
            ImageError: the shape, the type or a value of ``images`` is wrong; nothing is clipped.
        """
        outcomes = self._assessor.assess_many([*map(Image.fromarray, _as_bytes(images))])
        means = [outcome.expected.mean for outcome in outcomes if isinstance(outcome, Assessment) and outcome.expected]
        self.total += sum(means)
        self.rated += len(means)
        self.unreadable += len(outcomes) - len(means)

    def compute(self) -> Tensor:
        """The mean as a scalar.

        Raises:
            UndefinedMetricError: no rating could be read, or there was no image.
        """
        return _mean(self.total, self.rated, self.unreadable)


def _mean(total: Tensor, rated: Tensor, unreadable: Tensor) -> Tensor:
    if not rated:
        raise UndefinedMetricError("ZoomIQAScore", f"no rating of {int(unreadable)} images could be read")
    return (total / rated).float()


def _remedy(low: float, high: float) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "mend what makes values that are not finite"
    if high > FAR_BEYOND:
        return "divide them by 255, or give torch.uint8"
    return "bring them to [0, 1] first: as images.clamp(0, 1) where they only overshoot"


def _as_bytes(images: Tensor) -> np.ndarray:
    """(B, H, W, 3) of 8 bits."""
    if not isinstance(images, Tensor):
        raise ImageError(f"images are a {type(images).__name__}; give a tensor (batch, 3, height, width)")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ImageError(f"images have shape {tuple(images.shape)}; give (batch, 3, height, width)")
    if images.dtype != torch.uint8:
        if not images.is_floating_point():
            raise ImageError(f"images are of {images.dtype}; give floats in [0, 1] or torch.uint8")
        low, high = (float(end) for end in images.detach().aminmax()) if images.numel() else (0.0, 1.0)
        if not 0.0 <= low <= high <= 1.0:
            raise ImageError(f"images hold {low:.3g} to {high:.3g}; {_remedy(low, high)}")
        images = (images.detach() * 255).round().to(torch.uint8)
    return images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
