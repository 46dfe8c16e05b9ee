"""The tokens of a chain: those of every turn, under one denominator, each turn once."""

from __future__ import annotations

import torch

from support.random_policy import noise_image
from support.written_rollouts import SAMPLING
from zoom_iqa.base.types import Request, Rollout, Sample, rated_example
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.objectives.aggregation import SequenceMean
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PackedSize
from zoom_iqa.policy.policy import Policy
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.chain import ChainPrompts, ChainTask

PROMPTS = ChainPrompts(
    questions=["Rate the image."],
    first="{question}",
    shown="Crop {number}: ",
    refused="No crop {number}: {reason}. ",
    go_on="Go on.",
    last="Answer.",
    terse=True,
)
ZOOM = '<think>soft</think><zoom>{"bbox_2d": [0.1, 0.2, 0.7, 0.8], "look_for": "blur"}</zoom>'
ANSWER = '<think>soft</think><answer>{"rating": 2.35, "evidence": []}</answer>'


def script(request: Request) -> str:
    """The first rollout of a group looks twice, the second once, the third answers."""
    index, turn = request.key.split("/")[-2:]
    return ZOOM if int(turn.removeprefix("turn")) <= 2 - int(index) else ANSWER


def rollouts(policy: Policy) -> list[Rollout]:
    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=policy)
    task = ChainTask(prompts=PROMPTS, max_turns=4, max_crops=4, enlarge=1.0)
    sample = Sample.of(rated_example(id="a", dataset="d", mos=3.0), noise_image(0, 96, 64))
    (group,) = collect_groups([sample], task=task, engines={"policy": engine}, group_size=3, seed=0)
    return list(group.rollouts)


def test_tokens_of_all_turns_count_under_one_denominator(random_policy: Policy) -> None:
    made = rollouts(random_policy)
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
    made = rollouts(random_policy)
    table = build_table(made[:1], torch.tensor([1.0]), policy=random_policy)
    size, added = PackedSize(), []
    for sequence in table.sequences:
        added.append(size.added_by(sequence))
        size.add(sequence)
    whole = [len(sequence.prompt.ids_L) + len(sequence.completion_C) - 1 for sequence in table.sequences]
    assert sum(added) == whole[-1]
    assert sum(whole) > 1.5 * whole[-1]


def test_packed_turns_have_the_log_probabilities_of_single_ones(random_policy: Policy) -> None:
    table = build_table(rollouts(random_policy), torch.tensor([1.0, 0.5, -1.5]), policy=random_policy)
    likelihood = Likelihood(policy=random_policy, temperature=1.0, features=None, logit_chunk=64)
    with torch.no_grad():
        together = likelihood(table.sequences, entropy=False, select_S=None).logp_T
        apart = [likelihood([sequence], entropy=False, select_S=None).logp_T for sequence in table.sequences]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-4)
