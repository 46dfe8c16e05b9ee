import pytest
import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.measures import merge, to_floats
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy, sft_loss

LOGP = torch.tensor([-1.0, -2.0, -4.0, -0.5])
NUMERIC = torch.tensor([False, True, True, False])


def test_plain_mean_by_hand():
    assert sft_loss(LOGP, torch.ones(4), denominator=4).item() == pytest.approx(7.5 / 4)


def test_digits_weigh_more_by_hand():
    objective = ResponseCrossEntropy(numeric_weight=3.0)
    weights = objective.token_weights(NUMERIC)
    assert weights.tolist() == [1.0, 3.0, 3.0, 1.0]
    loss, measures = objective(LOGP, NUMERIC, denominator=weights.sum().item())
    assert loss.item() == pytest.approx((1 + 6 + 12 + 0.5) / 8)
    assert to_floats(measures) == {"sft/nll": pytest.approx(7.5 / 4), "sft/nll_numeric": pytest.approx(3.0)}


def test_micro_batches_add_up():
    objective = ResponseCrossEntropy(numeric_weight=3.0)
    whole, measures = objective(LOGP, NUMERIC, denominator=8.0)
    parts = [objective(LOGP[s], NUMERIC[s], denominator=8.0) for s in (slice(0, 1), slice(1, 2), slice(2, 4))]
    assert sum(loss for loss, _ in parts).item() == pytest.approx(whole.item())
    assert to_floats(merge([m for _, m in parts])) == pytest.approx(to_floats(measures))


def test_weight_must_be_positive():
    with pytest.raises(ConfigError, match="numeric_weight=0"):
        ResponseCrossEntropy(numeric_weight=0)
