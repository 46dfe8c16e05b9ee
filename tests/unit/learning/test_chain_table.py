"""The tokens of a chain: those of every turn, under one denominator, each turn once."""

from __future__ import annotations

import torch

from support.written_chains import ANSWER, ZOOM, chain_rollouts
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.objectives.aggregation import SequenceMean
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PackedSize
from zoom_iqa.policy.policy import Policy


def test_tokens_of_all_turns_count_under_one_denominator(random_policy: Policy) -> None:
    made = chain_rollouts(random_policy)
    assert [len(rollout.steps) for rollout in made] == [3, 2, 1]
    table = build_table(made, torch.tensor([1.0, 0.5, -1.5]), policy=random_policy)
    zoom, answer = (len(random_policy.completion_ids(text)) for text in (ZOOM, ANSWER))
    totals = [2 * zoom + answer, zoom + answer, answer]
    assert torch.bincount(table.trajectory_T).tolist() == totals
    weights_T = SequenceMean()(table.trajectory_T, n_trajectories=3, n_tokens=sum(totals))
    for number, total in enumerate(totals):
        expected = torch.full((total,), 1 / (3 * total))
        torch.testing.assert_close(weights_T[table.trajectory_T == number], expected)
    assert int(table.marks["rating"].sum()) > 0
    assert not table.marks["numbers"][: 2 * zoom].any()  # a call is no answer


def test_a_chain_costs_its_length_in_the_update(random_policy: Policy) -> None:
    """The turns of a chain share what they have in common: the update forwards its tokens once."""
    made = chain_rollouts(random_policy)
    table = build_table(made[:1], torch.tensor([1.0]), policy=random_policy)
    size, added = PackedSize(), []
    for sequence in table.sequences:
        added.append(size.added_by(sequence))
        size.add(sequence)
    whole = [len(sequence.prompt.ids_L) + len(sequence.completion_C) - 1 for sequence in table.sequences]
    assert sum(added) == whole[-1]
    assert sum(whole) > 1.5 * whole[-1]


def test_packed_turns_have_the_log_probabilities_of_single_ones(random_policy: Policy) -> None:
    table = build_table(chain_rollouts(random_policy), torch.tensor([1.0, 0.5, -1.5]), policy=random_policy)
    likelihood = Likelihood(policy=random_policy, temperature=1.0, features=None, logit_chunk=64)
    with torch.no_grad():
        together = likelihood(table.sequences, entropy=False, select_S=None).logp_T
        apart = [likelihood([sequence], entropy=False, select_S=None).logp_T for sequence in table.sequences]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-4)
