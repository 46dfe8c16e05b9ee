"""Whether the sampler's own log-probabilities may be used: gaps by hand, when they are measured, what is remembered."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.old_log_probabilities import OldPolicy, SamplerCheck, old_policy
from zoom_iqa.parallel.reducer import LocalReducer

SAMPLED = torch.tensor([-1.0, -2.0, -3.0, -4.0])
CLOSE = torch.tensor([-1.0, -2.1, -3.0, -4.0])  # 0.1 off in one of four tokens: 0.025 in the mean
FAR = torch.tensor([-1.0, -2.0, -3.0, -4.4])  # 0.1 in the mean


def checked(tolerance: float = 0.03, every: int = 3) -> SamplerCheck:
    return SamplerCheck(tolerance=tolerance, every=every)


def one(check: OldPolicy, step: int, scored: Tensor) -> tuple[bool, dict[str, float]]:
    """A rollout as an update goes through it: whether it uses the likelihood's numbers, and its figures."""
    recomputed = scored if check.wants_pass(step) else None
    chosen, figures = check.choose(SAMPLED, recomputed, step=step, reducer=LocalReducer())
    assert chosen is (scored if figures["policy/old_recomputed"] else SAMPLED)
    return chosen is scored, figures


@pytest.mark.parametrize(("scored", "gap", "recomputed"), [(CLOSE, 0.025, False), (FAR, 0.1, True)])
def test_the_gap_is_the_mean_over_tokens_of_the_difference(scored: Tensor, gap: float, recomputed: bool) -> None:
    found, figures = one(checked(), 0, scored)
    assert found == recomputed
    assert figures["policy/sampler_gap_mean"] == pytest.approx(gap, rel=1e-5)


def test_differences_of_both_signs_do_not_cancel() -> None:
    _, figures = one(checked(), 0, SAMPLED + torch.tensor([0.5, -0.5, 0.5, -0.5]))
    assert figures["policy/sampler_gap_mean"] == pytest.approx(0.5)


def test_a_gap_of_exactly_the_tolerance_is_within() -> None:
    assert one(checked(tolerance=0.5), 0, SAMPLED + 0.5)[0] is False


def test_within_tolerance_passes_are_made_for_measuring_only() -> None:
    check = checked(every=3)
    passes = []
    for step in range(8):
        passes.append(check.wants_pass(step))
        recomputed, figures = one(check, step, CLOSE)
        assert not recomputed
        assert ("policy/sampler_gap_mean" in figures) == (step % 3 == 0)
    assert passes == [True, False, False, True, False, False, True, False]


def test_a_gap_that_grows_falls_back_at_the_next_measurement_and_returns_at_a_later_one() -> None:
    check = checked(every=3)
    found = [one(check, step, FAR if 2 <= step < 8 else CLOSE)[0] for step in range(12)]
    assert found == [False] * 3 + [True] * 6 + [False] * 3


def test_beyond_tolerance_every_rollout_is_scored() -> None:
    check = checked(every=3)
    one(check, 0, FAR)
    assert all(check.wants_pass(step) for step in range(1, 6))


@pytest.mark.parametrize("wrong", [math.nan, -math.inf])
def test_what_is_no_number_is_not_trusted(wrong: float) -> None:
    assert one(checked(), 0, torch.tensor([-1.0, -2.0, wrong, -4.0]))[0] is True


class OtherProcess:
    """The reducer of this process beside one whose gap is known."""

    def __init__(self, gap: float) -> None:
        self._gap = gap

    def sum(self, values: Tensor) -> Tensor:
        raise AssertionError("a mean would hide a process that is off")

    def gather(self, values: Tensor) -> tuple[Tensor, int]:
        return torch.cat([values, values.new_tensor([self._gap])]), 0


def test_another_process_can_be_the_one_that_is_off() -> None:
    check = checked()
    chosen, figures = check.choose(SAMPLED, CLOSE, step=0, reducer=OtherProcess(0.2))
    assert chosen is CLOSE
    assert figures["policy/sampler_gap_mean"] == pytest.approx(0.2)


@pytest.mark.parametrize("scored", [CLOSE, FAR])
def test_the_verdict_is_remembered(scored: Tensor) -> None:
    check, continued = checked(), checked()
    one(check, 0, scored)
    continued.load_state_dict(check.state_dict())
    assert one(continued, 1, scored) == one(check, 1, scored)
    assert "policy/sampler_gap_mean" not in one(continued, 2, scored)[1]


def test_without_a_verdict_the_first_rollout_met_is_measured() -> None:
    check = checked()
    check.load_state_dict(checked().state_dict())
    assert check.wants_pass(4)
    assert one(check, 4, FAR)[0] is True


def test_the_fixed_choices_measure_nothing() -> None:
    for choice, expected in (("sampled", False), ("recomputed", True)):
        fixed = old_policy(choice, check=checked())
        assert [one(fixed, step, FAR)[0] for step in range(4)] == [expected] * 4
        assert [fixed.wants_pass(step) for step in range(4)] == [expected] * 4
        assert fixed.state_dict() == {}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sampler_check\.tolerance=-1"):
        checked(tolerance=-1)
    with pytest.raises(ConfigError, match=r"sampler_check\.every=0"):
        checked(every=0)
    with pytest.raises(ConfigError, match="choose one of measured, sampled, recomputed"):
        old_policy("guessed", check=checked())
