"""Two processes over gloo do what one process does: sums, gathers, rewards, and a whole policy update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from support.naive_update import copied, descend, flat_gradient, flat_weights, reference_policy, relative, start_policy
from support.two_processes import in_two
from support.written_rollouts import varied_advantages, written_groups
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.types import RolloutGroup
from zoom_iqa.config.commands import run_command
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.aggregation import SequenceMean
from zoom_iqa.objectives.filters.clip_cov import ClipCov
from zoom_iqa.objectives.penalties.kl_at_answer_digits import KLCoverage
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.objectives.rewards.rubric import RewardInputs, Rubric
from zoom_iqa.objectives.rewards.terms import FormatTerm, RankTerm, ScoreTerm
from zoom_iqa.parallel.placement import Placement, Replicated
from zoom_iqa.parallel.processes import (
    SETTLE_S,
    current_reducer,
    from_first,
    rank,
    sum_gradients,
    wait_for_all,
    world_size,
)
from zoom_iqa.parallel.reducer import LocalReducer
from zoom_iqa.parallel.sharded import Sharded
from zoom_iqa.parallel.tensor_parts import is_cut
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.parts import blocks, kept_whole

IMAGES, GROUP = 4, 2


def rewards_of(groups: list[RolloutGroup]) -> Tensor:
    terms = {
        "format": FormatTerm(weight=1.0),
        "score": ScoreTerm(weight=1.0, sigma=0.35),
        "rank": RankTerm(weight=2.0, eps=1e-6, preference="ordinal"),
    }
    return Rubric(terms=terms).rewards(RewardInputs.from_groups(groups, reducer=current_reducer()), step=0).total_BG


def update_on(
    groups: list[RolloutGroup],
    advantages: Tensor,
    *,
    budget: int,
    old_logp: str = "sampled",
    off: float = 0.0,
    placement: Placement | None = None,
) -> dict[str, Any]:
    """Two steps on these rollouts, sampled ``off`` nats too low; gradients are those after the sum over processes."""
    policy, reference = copied(start_policy()), copied(reference_policy())
    for model in (policy.model, reference.model):
        (placement or Replicated()).place(model)
    gradients: list[Tensor] = []

    def step(finite: bool) -> float:
        sum_gradients(parameter for parameter in policy.model.parameters() if not is_cut(parameter))
        gradients.append(flat_gradient(policy))
        descend(policy)
        return gradients[-1].norm().item()

    update = PolicyUpdate(
        loss=ClippedPolicyLoss(clip_low=0.2, clip_high=0.2),
        aggregation=SequenceMean(),
        filters={"clip_cov": ClipCov(fraction=0.05, low=-100.0, high=100.0, seed=0)},
        penalties={
            "kl_coverage": KLCoverage(beta=0.7, fraction=0.2, digits="answer", anchor="reference", divergence="exact"),
            "kl_reference": KLReference(beta=0.01),
        },
        epochs=2,
        mini_batches=1,
        micro_batch_tokens=budget,
        old_logp=old_logp,
        sampler_check=SamplerCheck(tolerance=0.4, every=1),
    )
    table = build_table([r for group in groups for r in group.rollouts], advantages, policy=policy)
    figures = update.run(
        table.with_signals({"sampled": table.signals["sampled"] - off}),
        likelihood=Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64),
        reference=Likelihood(policy=reference, temperature=1.0, features=None, logit_chunk=64),
        backward=lambda loss: loss.backward(),
        optimizer_step=step,
        step=0,
        reducer=current_reducer(),
    )
    return {"gradients": gradients, "weights": flat_weights(policy), "figures": figures}


def cut() -> Sharded:
    return Sharded(blocks=blocks, kept_whole=kept_whole)


def collectives(number: int) -> dict[str, Any]:
    reducer = current_reducer()
    rows = torch.arange(6.0).reshape(3, 2)[: (3, 1)[number]] + 10 * number
    none_or_two = torch.ones(2 * number, 2)
    learned, unused, frozen = (nn.Parameter(torch.ones(2)) for _ in range(3))
    learned.grad = torch.full((2,), 1.0 + number)
    if number == 1:
        unused.grad = torch.full((2,), 5.0)
    frozen.requires_grad_(False)
    sum_gradients([learned, unused, frozen])
    return {
        "rank": (rank(), world_size()),
        "sum": reducer.sum(torch.tensor([1.0 + number, 10.0], dtype=torch.float64)),
        "gather": reducer.gather(rows),
        "gather from one": reducer.gather(none_or_two),
        "gradients": (learned.grad, unused.grad, frozen.grad),
    }


def of_process(number: int, folder: Path) -> dict[str, Any]:
    groups = written_groups(start_policy(), images=IMAGES, group_size=GROUP)
    own = groups[2 * number : 2 * number + 2]
    advantages = varied_advantages(IMAGES * GROUP).reshape(2, -1)[number]
    one_sided = advantages if number == 0 else torch.zeros_like(advantages)
    results = {
        "collectives": collectives(number),
        "rewards": rewards_of(own),
        # the processes cut their work into different numbers of micro-batches
        "update": update_on(own, advantages, budget=(1, 1_000_000)[number]),
        "one-sided": update_on(own, one_sided, budget=1_000_000),
        # one sampler is off by more than the tolerance of 0.4; the mean over both is below it
        "update of parts": update_on(own, advantages, budget=(1, 1_000_000)[number], placement=cut()),
        "one-sided update of parts": update_on(own, one_sided, budget=(1_000_000, 1)[number], placement=cut()),
        "one sampler off": update_on(own, advantages, budget=1_000_000, old_logp="measured", off=(0.0, 0.5)[number]),
        "both within": update_on(own, advantages, budget=1_000_000, old_logp="measured", off=(0.0, 0.3)[number]),
    }
    wait_for_all()
    return results


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    return in_two(of_process, tmp_path_factory.mktemp("gloo"))


@pytest.fixture(scope="module")
def whole() -> list[RolloutGroup]:
    """The rollouts of all images in one process."""
    return written_groups(start_policy(), images=IMAGES, group_size=GROUP)


def test_collectives(two: list[dict[str, Any]]) -> None:
    for number, found in enumerate(part["collectives"] for part in two):
        assert found["rank"] == (number, 2)
        assert found["sum"].tolist() == [3.0, 20.0]
        rows, offset = found["gather"]
        assert rows.tolist() == [[0, 1], [2, 3], [4, 5], [10, 11]]
        assert offset == (0, 3)[number]
        rows, offset = found["gather from one"]
        assert rows.tolist() == [[1, 1], [1, 1]]
        assert offset == 0
        learned, unused, frozen = found["gradients"]
        assert learned.tolist() == [3.0, 3.0]
        assert unused.tolist() == [5.0, 5.0]
        assert frozen is None


def test_rewards_of_four_images_do_not_depend_on_who_holds_them(
    two: list[dict[str, Any]], whole: list[RolloutGroup]
) -> None:
    expected = rewards_of(whole)
    assert expected.std() > 0.1
    assert torch.equal(torch.cat([part["rewards"] for part in two]), expected)


@pytest.mark.parametrize("case", ["update", "one-sided", "update of parts", "one-sided update of parts"])
def test_an_update_is_that_of_one_process(case: str, two: list[dict[str, Any]], whole: list[RolloutGroup]) -> None:
    advantages = varied_advantages(IMAGES * GROUP)
    if case.startswith("one-sided"):  # one process has nothing to learn from, and still takes part
        advantages[IMAGES * GROUP // 2 :] = 0
    expected = update_on(whole, advantages, budget=1_000_000)
    for part in two:
        for ours, theirs in zip(part[case]["gradients"], expected["gradients"], strict=True):
            assert relative(ours, theirs) < 1e-4
        assert part[case]["figures"] == pytest.approx(expected["figures"], rel=1e-3, abs=1e-5)
    assert torch.equal(two[0][case]["weights"], two[1][case]["weights"])


@pytest.mark.parametrize(("case", "gap", "recomputed"), [("one sampler off", 0.5, 1.0), ("both within", 0.3, 0.0)])
def test_the_largest_gap_decides_for_all_processes(
    case: str, gap: float, recomputed: float, two: list[dict[str, Any]]
) -> None:
    for part in two:
        assert part[case]["figures"]["policy/sampler_gap_mean"] == pytest.approx(gap, abs=1e-4)
        assert part[case]["figures"]["policy/old_recomputed"] == recomputed
    assert torch.equal(two[0][case]["weights"], two[1][case]["weights"])


def test_one_process_is_its_own_whole() -> None:
    assert (rank(), world_size()) == (0, 1)
    assert isinstance(current_reducer(), LocalReducer)
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    sum_gradients([parameter])
    wait_for_all()
    assert parameter.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("processes", "slept"), [(1, []), (2, [SETTLE_S])])
def test_only_processes_that_have_joined_settle(
    processes: int, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("zoom_iqa.parallel.processes.world_size", lambda: processes)
    monkeypatch.setattr("time.sleep", waits.append)
    run_command(lambda: None)
    assert waits == slept


def asks_the_first(number: int, folder: Path) -> tuple[str, str]:
    def refused() -> str:
        raise ConfigError(f"process {number} refuses")

    with pytest.raises(ConfigError) as error:
        from_first(refused)
    return from_first(lambda: f"process {number} says"), str(error.value)


def test_what_the_first_process_says_or_refuses_holds_in_all(tmp_path: Path) -> None:
    assert in_two(asks_the_first, tmp_path) == [("process 0 says", "process 0 refuses")] * 2
