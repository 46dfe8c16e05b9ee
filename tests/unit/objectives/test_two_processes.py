"""One process and two over gloo give the same rank rewards, the same plan of a penalty and the same figures."""

from pathlib import Path
from typing import Any

import pytest
import torch

from support.made_rollouts import group
from support.token_batches import token_batch
from support.two_processes import in_two
from zoom_iqa.base.types import ParseFailure
from zoom_iqa.objectives.measures import mean_of, peak_of, reduce_measures, to_floats
from zoom_iqa.objectives.penalties.kl_at_answer_digits import KLCoverage
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.objectives.rewards.terms import RankTerm
from zoom_iqa.parallel.processes import DistributedReducer
from zoom_iqa.parallel.reducer import LocalReducer, Reducer

IMAGES = (("a", 4.0, (4.0, 3.5, None)), ("b", 2.0, (2.5, 2.0, 4.5)), ("c", 3.0, (3.0, 1.0, 2.25)))
SHARES = ((0, 1), (1, 3))
TOKEN_SHARES = ((0, 37), (37, 100))


def make_groups(images):
    failed = ParseFailure("missing_answer", "")
    return [group(name, mos, [failed if r is None else r for r in ratings]) for name, mos, ratings in images]


def results(images, tokens: slice, reducer: Reducer) -> dict:
    rubric = Rubric(terms={"rank": RankTerm(weight=2.0, eps=1e-6, preference="ordinal")})
    rewards = rubric.rewards(RewardInputs.from_groups(make_groups(images), reducer=reducer), step=0)
    g = torch.Generator().manual_seed(0)
    columns = -torch.rand(3, 100, generator=g)
    batch = token_batch(columns[0], columns[1], numeric=columns[2] < -0.5).at(tokens)
    penalty = KLCoverage(beta=1.0, fraction=0.1, digits="answer", anchor="reference", divergence="sampled")
    plan = penalty.plan(batch, step=0, mini_batch=0, reducer=reducer)
    logp = batch.signal("sampled")
    measures = {"mean": mean_of(logp), "peak": peak_of(logp)}
    return {
        "rewards": rewards.total_BG,
        "selected": plan.selected_M,
        "figures": {**plan.figures, **to_floats(reduce_measures(measures, reducer=reducer))},
    }


def of_process(rank: int, folder: Path) -> dict[str, Any]:
    images, tokens = slice(*SHARES[rank]), slice(*TOKEN_SHARES[rank])
    return results(IMAGES[images], tokens, DistributedReducer())


def test_two_gloo_processes_equal_one(tmp_path):
    parts = in_two(of_process, tmp_path)
    whole = results(IMAGES, slice(0, 100), LocalReducer())
    assert whole["rewards"].max() > 0
    assert torch.equal(torch.cat([part["rewards"] for part in parts]), whole["rewards"])
    assert torch.equal(torch.cat([part["selected"] for part in parts]), whole["selected"])
    assert all(part["figures"] == pytest.approx(whole["figures"]) for part in parts)
