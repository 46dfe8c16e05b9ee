"""Supervised fine-tuning: which tokens carry loss, and that loss and step equal a loop over turns and tokens."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from support.fitting import fit, own_copy, sgd, weights
from support.naive_update import distributions
from support.random_policy import noise_image
from support.written_engine import written
from support.written_rollouts import PROMPTS
from zoom_iqa.base.errors import CheckpointError, ConfigError
from zoom_iqa.base.types import Sample, rated_example
from zoom_iqa.data.supervised.records import supervised_turns
from zoom_iqa.data.supervised.trajectories import Trajectory
from zoom_iqa.learning.step_clock import StepClock
from zoom_iqa.learning.supervised import supervised_samples
from zoom_iqa.objectives.schedules import Constant, Linear
from zoom_iqa.objectives.sft_loss import ResponseCrossEntropy
from zoom_iqa.parallel.placement import Replicated
from zoom_iqa.policy.policy import Policy
from zoom_iqa.tasks.zoom import StrictRules, ZoomSession
from zoom_iqa.training.sft import SFTModule, SFTRecipe

NUMERIC_WEIGHT = 3.0
CROP = written("turn1", rating=2.5, crop=True)
AFTER = written("turn2", rating=2.75, crop=False)
FINAL = written("turn1", rating=4.0, crop=False)


def trajectory(name: str, *texts: str, pixels: int = 0) -> Trajectory:
    item = rated_example(id=name, dataset="d", mos=3.0)
    image = noise_image(pixels, 48, 64)
    sample = Sample.of(item, image)
    session = ZoomSession(sample=sample, index=0, question="How good?", prompts=PROMPTS, rules=StrictRules(), seed=0)
    return Trajectory(item, supervised_turns(session, texts))


@pytest.fixture
def trajectories() -> list[Trajectory]:
    """One with a crop, one without."""
    return [trajectory("a", CROP, AFTER), trajectory("bb", FINAL, pixels=1)]


def settings(**changed: Any) -> SFTRecipe:
    values: dict[str, Any] = {
        "loss": ResponseCrossEntropy(numeric_weight=NUMERIC_WEIGHT),
        "accumulate": 1,
        "logit_chunk": 64,
        "optimizer": sgd(0.1),
        "lr_factor": Constant(value=1.0),
        "max_grad_norm": math.inf,
        "max_bad_steps": 2,
        "freeze_vision_tower": False,
        **changed,
    }
    return SFTRecipe(**values)


def made(policy: Policy, **changed: Any) -> SFTModule:
    return settings(**changed)(policy=policy, placement=Replicated(), steps=1)


def test_responses_of_both_turns_carry_loss_and_nothing_else(
    random_policy: Policy, trajectories: list[Trajectory]
) -> None:
    samples, numeric_T = supervised_samples(trajectories, random_policy)
    ids = [sample.completion_C.tolist() for sample in samples]
    assert ids == [random_policy.completion_ids(text) for text in (CROP, AFTER, FINAL)]
    assert all(row[-1] == random_policy.end_id for row in ids)  # it learns to stop
    assert CROP in random_policy.decode(samples[1].prompt.ids_L.tolist())  # the first answer is context of the second
    assert len({sample.prompt_key for sample in samples}) == 3
    assert [len(sample.prompt.images) for sample in samples] == [1, 2, 1]
    flat = [i for row in ids for i in row]
    marked = "".join(random_policy.decode([i]) for i, numeric in zip(flat, numeric_T.tolist(), strict=True) if numeric)
    assert marked == "0102070825" + "0" + "0000275" + "0000400"


def naive_loss(policy: Policy, trajectories: list[Trajectory]) -> torch.Tensor:
    total, weight_sum = torch.zeros(()), 0.0
    for one in trajectories:
        for turn in one.turns:
            ids = tuple(policy.completion_ids(turn.response))
            log_p = distributions(policy, turn.prompt, ids)
            spans = [m.span(1) for m in re.finditer(r'"bbox_2d": \[([^\]]*)\]', turn.response)]
            spans += [m.span(1) for m in re.finditer(r'"rating": ([0-9.]*)', turn.response)]
            position = 0
            for row, token in enumerate(ids):
                piece = policy.decode([token])
                numeric = piece.isdigit() and any(a <= position < b for a, b in spans)
                weight = NUMERIC_WEIGHT if numeric else 1.0
                total = total - weight * log_p[row, token]
                weight_sum += weight
                position += len(piece)
    return total / weight_sum


def test_a_step_equals_the_loop(random_policy: Policy, trajectories: list[Trajectory]) -> None:
    naive, ours = own_copy(random_policy), own_copy(random_policy)
    loss = naive_loss(naive, trajectories)
    loss.backward()
    torch.optim.SGD(naive.model.parameters(), lr=0.1).step()
    module = made(ours)
    fit(module, trajectories, batch_size=2)
    assert module.figures["sft/nll"] > 1
    expected, found, before = weights(naive), weights(ours), weights(random_policy)
    moved = sum((expected[name] - before[name]).square().sum() for name in before) ** 0.5
    apart = sum((expected[name] - found[name]).square().sum() for name in before) ** 0.5
    assert moved > 0.01
    assert apart < 1e-5 * moved


def test_parts_of_an_accumulated_step_count_alike(random_policy: Policy, trajectories: list[Trajectory]) -> None:
    """The mean of two losses, not the loss of all tokens; clipped to a norm that the sum alone knows."""
    naive, ours = own_copy(random_policy), own_copy(random_policy)
    ((naive_loss(naive, trajectories[:1]) + naive_loss(naive, trajectories[1:])) / 2).backward()
    norm = torch.nn.utils.clip_grad_norm_(naive.model.parameters(), 0.5)
    torch.optim.SGD(naive.model.parameters(), lr=0.1).step()
    module = made(ours, accumulate=2, max_grad_norm=0.5)
    fit(module, trajectories, batch_size=2)
    assert module.figures["sft/grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
    assert module.figures["lr"] == 0.1
    expected, found, before = weights(naive), weights(ours), weights(random_policy)
    moved = sum((expected[name] - before[name]).square().sum() for name in before) ** 0.5
    apart = sum((expected[name] - found[name]).square().sum() for name in before) ** 0.5
    assert apart < 1e-5 * moved


def test_plain_means_are_logged(random_policy: Policy, trajectories: list[Trajectory]) -> None:
    module = made(own_copy(random_policy), optimizer=sgd(0.0))
    fit(module, trajectories, batch_size=2)
    log_p = [
        distributions(random_policy, turn.prompt, tuple(random_policy.completion_ids(turn.response)))
        .gather(1, torch.tensor(random_policy.completion_ids(turn.response))[:, None])
        .detach()
        for one in trajectories
        for turn in one.turns
    ]
    assert module.figures["sft/nll"] == pytest.approx(-torch.cat(log_p).mean().item(), rel=1e-5)


def test_it_goes_on_from_its_own_tensors_alone(random_policy: Policy) -> None:
    module = made(random_policy)
    checkpoint: dict[str, Any] = {"state_dict": dict(module.state_dict())}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    del checkpoint["state_dict"]["model.model.language_model.norm.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing: model\.model\.language_model\.norm\.weight$"):
        module.on_load_checkpoint(checkpoint)


def test_a_frozen_tower_stays(random_policy: Policy, trajectories: list[Trajectory]) -> None:
    policy = own_copy(random_policy)
    fit(made(policy, freeze_vision_tower=True), trajectories, batch_size=2)
    before, after = weights(random_policy), weights(policy)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith("model.visual") for name in changed)


def test_checkpointed_activations_are_recomputed(random_policy: Policy, trajectories: list[Trajectory]) -> None:
    """Gradient checkpointing acts in training mode only; a loaded model is not in it."""
    plain, saving = own_copy(random_policy), own_copy(random_policy)
    saving.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    calls: list[int] = []
    saving.model.model.language_model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    fit(made(plain), trajectories, batch_size=2)
    fit(made(saving), trajectories, batch_size=2)
    assert len(calls) == 2
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(saving)[name], value, rtol=1e-5, atol=1e-6)


def test_an_image_may_look_different_in_the_next_batch(random_policy: Policy) -> None:
    """Augmentation: one key, new pixels. Nothing of the batch before may be used again."""
    policy = own_copy(random_policy)
    first, second = trajectory("a", FINAL, pixels=1), trajectory("a", FINAL, pixels=2)
    module = made(policy, optimizer=sgd(0.0))
    fit(module, [first, second], batch_size=1)
    shown = module.figures["sft/nll"]
    fit(
        alone := made(own_copy(random_policy), optimizer=sgd(0.0)),
        [second],
        batch_size=1,
    )
    assert shown == pytest.approx(alone.figures["sft/nll"], rel=1e-6)
    fit(
        other := made(own_copy(random_policy), optimizer=sgd(0.0)),
        [first],
        batch_size=1,
    )
    assert shown != pytest.approx(other.figures["sft/nll"], rel=1e-6)


def test_the_rate_follows_its_schedule_by_optimizer_step(random_policy: Policy) -> None:
    module = settings(lr_factor=Linear(start=1.0, end=0.0, steps=4))(
        policy=own_copy(random_policy), placement=Replicated(), steps=1
    )
    trainer = fit(module, [trajectory("a", FINAL)] * 2, batch_size=1)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.05)


def test_wrong_settings_show_before_there_is_a_policy() -> None:
    with pytest.raises(ConfigError, match=r"logit_chunk=0"):
        settings(logit_chunk=0)
    with pytest.raises(ConfigError, match=r"optimizer: Invalid learning rate: -1"):
        settings(optimizer=sgd(-1))
    with pytest.raises(ConfigError, match=r"sft.accumulate=0 must be a whole number of at least 1"):
        settings(accumulate=0)
    with pytest.raises(ConfigError, match=r"sft.module.max_grad_norm=0 must be above 0"):
        settings(max_grad_norm=0)


class FailingLoss(ResponseCrossEntropy):
    """Comes to NaN at the calls given."""

    def __init__(self, *fails: int) -> None:
        super().__init__(numeric_weight=NUMERIC_WEIGHT)
        self._fails, self._calls = fails, 0

    def __call__(self, logp_T: torch.Tensor, numeric_T: torch.Tensor, *, denominator: float) -> Any:
        loss, measures = super().__call__(logp_T, numeric_T, denominator=denominator)
        self._calls += 1
        return loss * (math.nan if self._calls - 1 in self._fails else 1.0), measures


def test_a_step_without_a_finite_loss_changes_nothing_and_is_written_down(
    random_policy: Policy, trajectories: list[Trajectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two steps of which the second's loss is NaN end as the first alone."""
    failed, once = own_copy(random_policy), own_copy(random_policy)
    module = made(failed, loss=FailingLoss(1))
    fit(module, trajectories, batch_size=1, folder=tmp_path)
    fit(made(once), trajectories[:1], batch_size=1)
    assert all(torch.equal(weights(failed)[name], value) for name, value in weights(once).items())
    assert module.figures == {"sft/skipped_steps": 1.0}
    (line,) = (tmp_path / "bad_steps.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 1, "reasons": ["the loss is not finite"], "ids": ["d:bb"]}
    assert "warning: sft step 1, the loss is not finite: d:bb; the step is left out (1 in a row, 2 end the run)" in (
        capsys.readouterr().err
    )


def test_a_step_that_is_left_out_ends_for_the_clock_too(
    random_policy: Policy, trajectories: list[Trajectory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its seconds would be those between the steps."""
    ended: list[dict[str, Any]] = []
    measures = StepClock.measures
    monkeypatch.setattr(StepClock, "measures", lambda self, **given: ended.append(given) or measures(self, **given))
    fit(made(own_copy(random_policy), loss=FailingLoss(1)), trajectories, batch_size=1, folder=tmp_path)
    assert [given["images"] for given in ended] == [1, 1]


def test_an_infinite_gradient_is_left_out_like_a_loss(
    random_policy: Policy, trajectories: list[Trajectory], tmp_path: Path
) -> None:
    policy = own_copy(random_policy)
    parameter = next(p for p in policy.model.parameters() if p.requires_grad)
    parameter.register_hook(lambda gradient: gradient * math.inf)
    fit(made(policy), trajectories, batch_size=2, folder=tmp_path)
    assert all(torch.equal(weights(policy)[name], value) for name, value in weights(random_policy).items())
    (line,) = (tmp_path / "bad_steps.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 0, "reasons": ["the gradient is not finite"], "ids": ["d:a", "d:bb"]}
