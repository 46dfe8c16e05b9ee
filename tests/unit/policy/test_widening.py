"""Wider heads: the same function, whatever the shape of the policy."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from support.plain_policy import plain_policy
from support.random_policy import turn1_prompt, turn2_prompt
from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.lora import plain_state_dict
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.widening import Widening, head_width_of, widened


def _wide(policy: Policy, head_width: int) -> Policy:
    wide = copy.copy(policy)
    wide.model = widened(policy.model, plain_state_dict(policy.model), head_width=head_width)
    return wide


@torch.no_grad()
def _log_probs(policy: Policy) -> torch.Tensor:
    prompts = [policy.encode(prompt) for prompt in (turn1_prompt(1), turn2_prompt(2))]
    completion = torch.arange(30, 60)
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    return likelihood(
        [PromptCompletion(prompt, str(number), completion) for number, prompt in enumerate(prompts)],
        entropy=False,
        select_S=None,
    ).logp_T


@pytest.mark.parametrize("head_width", [18, 32, 64])
def test_a_random_policy_computes_the_same(random_policy: Policy, head_width: int):
    wide = _wide(random_policy, head_width)
    assert head_width_of(wide.model.config) == head_width
    torch.testing.assert_close(_log_probs(wide), _log_probs(random_policy), rtol=1e-4, atol=1e-4)


def test_the_shipped_policy_computes_the_same():
    policy = plain_policy()
    assert head_width_of(policy.model.config) == 40
    torch.testing.assert_close(_log_probs(_wide(policy, 64)), _log_probs(policy), rtol=1e-4, atol=1e-4)


def test_a_wide_policy_is_kept_and_loaded(tmp_path: Path):
    policy = plain_policy()
    _wide(policy, 64).save(tmp_path / "wide")
    loaded = plain_policy(tmp_path / "wide")
    torch.testing.assert_close(_log_probs(loaded), _log_probs(policy), rtol=1e-4, atol=1e-4)


def test_frequencies_stay_where_they_were(random_policy: Policy):
    widening = Widening.of(random_policy.model.config, head_width=64)
    rope = widening.config(random_policy.model.config).get_text_config().rope_parameters
    old = random_policy.model.config.get_text_config().rope_parameters
    narrow = [old["rope_theta"] ** (-i / 8) for i in range(8)]
    wide = [rope["rope_theta"] ** (-i / 32) for i in range(32)]
    assert wide[:8] == pytest.approx(narrow, rel=1e-12)
    assert sum(rope["mrope_section"]) == 32
    assert rope["mrope_section"][:-1] == old["mrope_section"][:-1]


@pytest.mark.parametrize("head_width", [16, 8, 33])
def test_heads_only_become_wider(random_policy: Policy, head_width: int):
    with pytest.raises(PolicyError, match=f"head_width={head_width} must be an even number above 16"):
        widened(random_policy.model, plain_state_dict(random_policy.model), head_width=head_width)
