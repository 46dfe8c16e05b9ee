"""The torchmetrics metric: the mean over batches and processes, and images that are not as they must be."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

import zoom_iqa
from support.made_assessments import brightness_rating, image_assessor
from zoom_iqa.base.errors import ImageError, UndefinedMetricError
from zoom_iqa.evaluation.score_metric import ZoomIQAScore
from zoom_iqa.policy.policy import Policy


def greys(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 32, 48)


def unreadable_when_dark(grey: float, turn: int) -> str:
    return "I cannot say" if grey < 10 else brightness_rating(grey, turn)


def test_it_is_the_mean_over_all_images_seen(random_policy: Policy) -> None:
    metric = ZoomIQAScore(image_assessor(policy=random_policy))
    metric.update(greys(0.0, 0.2))  # 1 and 1.8
    metric.update((greys(1.0) * 255).to(torch.uint8))  # 5
    assert metric.compute() == pytest.approx((1 + 1.8 + 5) / 3)
    metric.reset()
    assert metric(greys(0.4)) == pytest.approx(2.6)


def test_floats_are_rounded_to_the_nearest_of_8_bits(random_policy: Policy) -> None:
    metric = ZoomIQAScore(image_assessor(policy=random_policy))
    assert metric(greys(254.6 / 255)) == pytest.approx(5.0)  # of 254 it would be 4.98


def test_what_cannot_be_read_is_counted_and_left_out(random_policy: Policy) -> None:
    metric = ZoomIQAScore(image_assessor(unreadable_when_dark, policy=random_policy))
    metric.update(greys(0.0, 0.2, 1.0))
    assert (metric.compute(), int(metric.unreadable)) == (pytest.approx(3.4), 1)


def test_a_batch_that_cannot_be_read_takes_nothing_from_the_others(random_policy: Policy) -> None:
    metric = ZoomIQAScore(image_assessor(unreadable_when_dark, policy=random_policy))
    assert metric(greys(0.2, 1.0)) == pytest.approx(3.4)
    with pytest.raises(UndefinedMetricError, match="no rating of 1 images could be read"):
        metric(greys(0.0))
    assert metric(greys(0.4)) == pytest.approx(2.6)
    assert (metric.compute(), int(metric.unreadable)) == (pytest.approx((1.8 + 5 + 2.6) / 3), 1)


def test_nothing_readable_is_no_number(random_policy: Policy) -> None:
    metric = ZoomIQAScore(image_assessor(unreadable_when_dark, policy=random_policy))
    with pytest.warns(UserWarning, match="before"), pytest.raises(UndefinedMetricError, match="no rating of 0 images"):
        metric.compute()
    metric.update(greys(0.0))
    with pytest.raises(UndefinedMetricError, match="no rating of 1 images could be read"):
        metric.compute()


@pytest.mark.parametrize(
    ("images", "remedy"),
    [
        (torch.rand(3, 8, 8), r"shape \(3, 8, 8\); give \(batch, 3, height, width\)"),
        (torch.rand(2, 1, 8, 8), "shape"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), "torch.int64; give floats"),
        (torch.full((1, 3, 8, 8), 1.5), r"1.5 to 1.5; bring them to \[0, 1\] first: as images.clamp"),
        (torch.full((1, 3, 8, 8), 200.0), r"200 to 200; divide them by 255, or give torch.uint8$"),
        (torch.full((1, 3, 8, 8), float("nan")), "nan to nan; mend what makes values that are not finite$"),
    ],
)
def test_other_tensors_are_refused(images: Tensor, remedy: str, random_policy: Policy) -> None:
    with pytest.raises(ImageError, match=remedy):
        ZoomIQAScore(image_assessor(policy=random_policy)).update(images)


def test_it_works_in_a_module_and_a_collection_and_takes_no_weights_along(random_policy: Policy) -> None:
    class Restorer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)
            self.score = ZoomIQAScore(image_assessor(policy=random_policy))

    restorer = Restorer()
    assert set(restorer.state_dict()) == {"layer.weight", "layer.bias"}
    assert {name for name, _ in restorer.named_parameters()} == {"layer.weight", "layer.bias"}
    collection = MetricCollection({"before": restorer.score, "after": restorer.score.clone()})
    collection.update(greys(0.2))
    assert collection.compute()["after"] == pytest.approx(1.8)
    first, second = collection["before"]._assessor, collection["after"]._assessor
    assert first is second  # one policy in memory


def test_states_of_two_processes_are_summed(random_policy: Policy) -> None:
    one, other = (ZoomIQAScore(image_assessor(policy=random_policy)) for _ in range(2))
    one.update(greys(0.0, 0.0))
    other.update(greys(1.0))
    merged = copy.copy(one)
    assert {merged._reductions[name].__name__ for name in ("total", "rated", "unreadable")} == {"dim_zero_sum"}
    merged.merge_state(other)
    assert merged.compute() == pytest.approx(7 / 3)


def test_it_is_a_name_of_the_package() -> None:
    assert zoom_iqa.ZoomIQAScore is ZoomIQAScore
    with pytest.raises(AttributeError, match="no attribute 'Assesor'"):
        zoom_iqa.Assesor  # noqa: B018
