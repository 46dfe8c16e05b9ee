import math

import pytest
import torch

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.objectives.aggregation import SequenceMean, TokenMean
from zoom_iqa.objectives.measures import merge, to_floats
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss, PolicyInputs


def inputs(ratio, advantages, weights=None, logp=None):
    logp = torch.tensor(ratio).log().requires_grad_() if logp is None else logp
    weights = torch.ones(len(logp)) if weights is None else torch.tensor(weights)
    return PolicyInputs(
        logp_U=logp, old_logp_U=torch.zeros(len(logp)), advantages_U=torch.tensor(advantages), weights_U=weights
    )


def test_sequence_mean_weights_by_hand():
    # trajectories of 2, 1 and 3 tokens, interleaved; labels need not be 0..N-1
    trajectory = torch.tensor([4, 9, 4, 7, 7, 7])
    weights = SequenceMean()(trajectory, n_trajectories=3, n_tokens=6)
    assert weights.tolist() == pytest.approx([1 / 6, 1 / 3, 1 / 6, 1 / 9, 1 / 9, 1 / 9])
    assert weights.sum().item() == pytest.approx(1.0)


def test_token_mean_weights_by_hand():
    assert TokenMean()(torch.tensor([0, 0, 1]), n_trajectories=2, n_tokens=12).tolist() == pytest.approx([1 / 12] * 3)


def test_denominators_are_those_of_all_processes():
    ours = SequenceMean()(torch.tensor([0, 0, 1]), n_trajectories=4, n_tokens=99)
    theirs = SequenceMean()(torch.tensor([0, 1, 1]), n_trajectories=4, n_tokens=99)
    assert (ours.sum() + theirs.sum()).item() == pytest.approx(1.0)


@pytest.mark.parametrize("aggregation", [SequenceMean(), TokenMean()])
def test_a_process_without_tokens_has_no_weights(aggregation):
    assert aggregation(torch.empty(0, dtype=torch.long), n_trajectories=2, n_tokens=5).shape == (0,)


def test_loss_and_gradient_by_hand():
    # ratio 1.5: clipped at 1.2 for a positive advantage, not for a negative one; 0.5 the other way round
    case = inputs([1.5, 1.5, 0.5, 0.5, 1.1], [1.0, -1.0, 1.0, -1.0, 2.0], weights=[0.1, 0.2, 0.3, 0.4, 0.5])
    loss, _ = ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(case)
    assert loss.item() == pytest.approx(-(0.1 * 1.2 - 0.2 * 1.5 + 0.3 * 0.5 - 0.4 * 0.8 + 0.5 * 2.2))
    loss.backward()
    # d/dlogp of -w ratio A where the unclipped branch counts, else 0
    assert case.logp_U.grad.tolist() == pytest.approx([0.0, 0.2 * 1.5, -0.3 * 0.5, 0.0, -0.5 * 2.2], rel=1e-5)


def test_asymmetric_clip():
    loss, _ = ClippedPolicyLoss(clip_low=0.1, clip_high=0.4)(inputs([1.5, 0.5], [1.0, -1.0]))
    assert loss.item() == pytest.approx(-(1.4 - 0.9))


def test_measures_by_hand():
    case = inputs([1.5, 1.5, 0.5, 0.5], [1.0, -1.0, 1.0, -1.0])
    measures = to_floats(ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(case)[1])
    assert measures["policy/clip_fraction"] == 0.5
    assert measures["policy/ratio_mean"] == pytest.approx(1.0)
    assert measures["policy/ratio_max"] == pytest.approx(1.5)
    assert measures["policy/approx_kl"] == pytest.approx(-(math.log(1.5) + math.log(0.5)) / 2)


def test_a_clip_fraction_counts_what_is_above_the_range_when_rewarded_and_below_it_when_punished():
    case = inputs([1.5, 1.5, 1.5, 0.5, 0.5, 0.5], [1.0, 1.0, -1.0, 1.0, -1.0, -1.0])
    measures = to_floats(ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(case)[1])
    assert measures["policy/clip_fraction"] == pytest.approx(4 / 6)


@pytest.mark.parametrize("logp", [-30.0, -math.inf])
def test_the_kl_of_a_lost_token_is_bounded(logp):
    """e^-20 - 1 + 20: the log-ratio counts as -20."""
    case = inputs(None, [1.0], logp=torch.tensor([logp]))
    measures = to_floats(ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(case)[1])
    assert measures["policy/approx_kl"] == pytest.approx(19.0)


def test_on_policy_gradient_is_the_plain_policy_gradient():
    logp = torch.randn(5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    advantages, weights = torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]), torch.full((5,), 0.2)
    batch = PolicyInputs(logp_U=logp, old_logp_U=logp.detach(), advantages_U=advantages, weights_U=weights)
    ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(batch)[0].backward()
    torch.testing.assert_close(logp.grad, -weights * advantages)


def test_zero_advantage_gives_zero_gradient_even_where_the_ratio_explodes():
    case = inputs(None, [0.0, 0.0, -1.0], logp=torch.tensor([200.0, -300.0, 200.0], requires_grad=True))
    loss, _ = ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(case)
    loss.backward()
    assert loss.isfinite()
    assert case.logp_U.grad[:2].tolist() == [0.0, 0.0]


def test_an_empty_micro_batch_takes_part_in_backward():
    case = inputs(None, [], logp=torch.empty(0, requires_grad=True))
    loss, measures = ClippedPolicyLoss(clip_low=0.2, clip_high=0.2)(case)
    loss.backward()
    assert loss.item() == 0.0
    assert to_floats(merge([measures])) == {}


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.2), (1.5, 0.2), (0.2, 0.0)])
def test_bad_clip_range_is_refused(low, high):
    with pytest.raises(ConfigError, match="clip_"):
        ClippedPolicyLoss(clip_low=low, clip_high=high)
