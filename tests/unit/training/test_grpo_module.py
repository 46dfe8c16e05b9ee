"""GRPO as a module: one step equals a loop from ratings to weights, the reference stays, nothing stale is reused."""

from __future__ import annotations

import gc
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from support.broken_rewards import NotFiniteFor
from support.fitting import fit, own_copy, sgd, weights
from support.made_curriculum import SILENT, ladder
from support.naive_update import distributions, naive_loss, naive_tokens
from support.random_policy import noise_image
from support.written_engine import WrittenEngine
from support.written_rollouts import PROMPTS, SAMPLING, image_samples
from zoom_iqa.base.errors import CheckpointError, ConfigError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import RecordCodec
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, RolloutGroup, Sample
from zoom_iqa.engines.patient import Patience
from zoom_iqa.learning.old_log_probabilities import SamplerCheck
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.advantages import GroupAdvantages
from zoom_iqa.objectives.aggregation import SequenceMean
from zoom_iqa.objectives.penalties.base import Penalty
from zoom_iqa.objectives.penalties.kl_reference import KLReference
from zoom_iqa.objectives.policy_loss import ClippedPolicyLoss
from zoom_iqa.objectives.rewards.curriculum import Tolerance
from zoom_iqa.objectives.rewards.terms import FormatTerm, RankTerm, ScoreTerm
from zoom_iqa.objectives.schedules import Constant, Linear
from zoom_iqa.parallel.placement import Replicated
from zoom_iqa.policy.lora import LoraSettings, add_adapters
from zoom_iqa.policy.policy import Policy
from zoom_iqa.rollout.recorder import RolloutRecorder
from zoom_iqa.tasks.zoom import ZoomTask
from zoom_iqa.training.grpo import GRPOModule, GRPORecipe

GROUP = 3
KL_REFERENCE: dict[str, Penalty] = {"kl_reference": KLReference(beta=0.1)}


def update(
    *,
    penalties: dict[str, Penalty] | None = None,
    epochs: int = 1,
    mini_batches: int = 1,
    old_logp: str = "sampled",
) -> PolicyUpdate:
    return PolicyUpdate(
        loss=ClippedPolicyLoss(clip_low=0.01, clip_high=0.02),
        aggregation=SequenceMean(),
        filters={},
        penalties=penalties or {},
        epochs=epochs,
        mini_batches=mini_batches,
        micro_batch_tokens=600,
        old_logp=old_logp,
        sampler_check=SamplerCheck(tolerance=0.1, every=2),
    )


def settings(**changed: Any) -> GRPORecipe:
    values: dict[str, Any] = {
        "task": ZoomTask(prompts=PROMPTS),
        "probes": {},
        "judge": {},
        "reward": {"score": ScoreTerm(weight=1.0, sigma=1.0)},
        "advantage": GroupAdvantages(normalize_std=True, eps=1e-4),
        "update": update(),
        "engine": WrittenEngine,
        "patience": Patience(timeout_s=math.inf, attempts=1, wait_s=0.0),
        "sampling": SAMPLING,
        "features_capacity": 10_000,
        "logit_chunk": 64,
        "optimizer": sgd(0.1),
        "lr_factor": Constant(value=1.0),
        "group_size": GROUP,
        "max_grad_norm": math.inf,
        "max_bad_steps": 2,
        "freeze_vision_tower": False,
        "recorder": RolloutRecorder(every=2, keep=1),
        "seed": 0,
        **changed,
    }
    return GRPORecipe(**values)


def made(policy: Policy, **changed: Any) -> GRPOModule:
    return settings(**changed)(policy=policy, placement=Replicated(), steps=1)


def recording(module: GRPOModule, patch: pytest.MonkeyPatch) -> list[list[RolloutGroup]]:
    """The rollouts of each step, as they are collected."""
    collected: list[list[RolloutGroup]] = []
    collect = module.collect

    def record(batch: list[Sample]) -> list[RolloutGroup]:
        collected.append(collect(batch))
        return collected[-1]

    patch.setattr(module, "collect", record)
    return collected


def models_in_memory(policy: Policy) -> int:
    """Its own and those like it."""
    gc.collect()  # those of earlier tests
    return sum(type(held) is type(policy.model) for held in gc.get_objects())


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return float(sum((a[name] - b[name]).square().sum() for name in a) ** 0.5)


@pytest.mark.parametrize("max_grad_norm", [math.inf, 0.5])
def test_a_step_equals_the_loop(max_grad_norm: float, random_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, naive = own_copy(random_policy), own_copy(random_policy)
    module = made(ours, max_grad_norm=max_grad_norm)
    collected = recording(module, monkeypatch)
    fit(module, image_samples(2), batch_size=2)

    (groups,) = collected
    advantages: list[float] = []
    for group in groups:
        rewards = [math.exp(-((rollout.rating - group.example.mos) ** 2) / 2) for rollout in group.rollouts]
        mean = sum(rewards) / GROUP
        std = math.sqrt(sum((r - mean) ** 2 for r in rewards) / (GROUP - 1))
        advantages += [(r - mean) / (std + 1e-4) for r in rewards]
    flat = [rollout for group in groups for rollout in group.rollouts]
    tokens = naive_tokens(flat, torch.tensor(advantages), token_mean=False)
    now = [distributions(naive, step.request.prompt, step.generation.token_ids) for r in flat for step in r.steps]
    naive_loss("none", tokens, now, now, now).backward()
    parameters = list(naive.model.parameters())
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in parameters if p.grad is not None))
    assert norm > 0.5
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad * min(1.0, max_grad_norm / norm)
    assert distance(weights(ours), weights(naive)) < 1e-4 * distance(weights(random_policy), weights(naive))
    assert module.figures["policy/grad_norm"] == pytest.approx(norm, rel=1e-4)
    assert module.figures["reward/flat_groups"] == 0


def test_equal_rewards_teach_nothing(random_policy: Policy) -> None:
    policy = own_copy(random_policy)
    module = made(policy, reward={"format": FormatTerm(weight=1.0)})
    fit(module, image_samples(4), batch_size=2)
    assert module.figures["reward/flat_groups"] == 1
    assert module.figures["reward/total"] == 1
    assert distance(weights(policy), weights(random_policy)) == 0


def test_a_reward_that_is_not_finite_leaves_a_step_out_and_names_its_images(
    random_policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three steps the last has an image whose reward is NaN: weights are those of the two before."""
    samples = image_samples(6)

    def trained(ids: list[str], kept: list[Sample]) -> tuple[GRPOModule, Policy]:
        policy = own_copy(random_policy)
        reward = {"score": ScoreTerm(weight=1.0, sigma=1.0), "broken": NotFiniteFor(weight=1.0, ids=ids)}
        module = made(policy, reward=reward)
        fit(module, kept, batch_size=2, folder=tmp_path)
        return module, policy

    module, policy = trained(["image5"], samples)
    (line,) = (tmp_path / "bad_steps.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 2, "reasons": ["reward.broken is not finite"], "ids": ["noise:image5"]}
    assert "grpo step 2, reward.broken is not finite: noise:image5; the step is left out" in capsys.readouterr().err
    assert module.figures["policy/skipped_steps"] == 1
    assert "policy/loss" not in module.figures
    _, before = trained([], samples[:4])
    assert distance(weights(policy), weights(before)) == 0
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint["bad_steps"] == {"in_a_row": 1}


def test_the_reference_is_where_the_stage_began_and_stays(random_policy: Policy) -> None:
    policy = own_copy(random_policy)
    module = made(policy, update=update(penalties=KL_REFERENCE))
    seen: list[float] = []
    step = module.training_step

    def watched(batch: list[Sample], batch_idx: int) -> None:
        step(batch, batch_idx)
        seen.append(module.figures["kl_reference/kl"])

    module.training_step = watched  # type: ignore[method-assign]
    fit(module, image_samples(6), batch_size=2)
    assert seen[0] == pytest.approx(0, abs=1e-6)
    assert min(seen[1:]) > 1e-5
    assert set(module.state_dict()) == {f"model.{name}" for name in weights(random_policy)}  # a checkpoint has it not
    policy.model.load_state_dict(random_policy.model.state_dict())
    fit(module, image_samples(2), batch_size=2)
    assert seen[-1] == pytest.approx(0, abs=1e-6)


def test_with_adapters_the_reference_has_those_the_stage_began_with(random_policy: Policy) -> None:
    policy = own_copy(random_policy)
    add_adapters(policy.model, LoraSettings(rank=2, alpha=8, targets=["q_proj", "v_proj"]))
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:  # as after a stage of fine-tuning
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    before = models_in_memory(policy)
    module = made(policy, update=update(penalties=KL_REFERENCE), optimizer=sgd(0.5))
    assert models_in_memory(policy) == before
    fit(module, image_samples(2), batch_size=2)
    assert module.figures["kl_reference/kl"] == pytest.approx(0, abs=1e-6)
    fit(module, image_samples(2), batch_size=2)
    assert module.figures["kl_reference/kl"] > 1e-6


@pytest.mark.parametrize(("penalties", "more"), [({}, 0), (KL_REFERENCE, 1)], ids=["none", "one"])
def test_no_reference_is_kept_where_none_is_needed(
    penalties: dict[str, Penalty], more: int, random_policy: Policy
) -> None:
    policy = own_copy(random_policy)
    before = models_in_memory(policy)
    module = made(policy, update=update(penalties=penalties))
    assert models_in_memory(policy) == before + more
    assert module.policy is policy


@pytest.mark.parametrize("penalties", [{}, KL_REFERENCE], ids=["alone", "with a reference"])
@pytest.mark.parametrize("frozen", [True, False], ids=["frozen tower", "trained tower"])
def test_an_image_may_look_different_in_the_next_rollout(
    frozen: bool, penalties: dict[str, Penalty], random_policy: Policy
) -> None:
    """Augmentation: one key, new pixels. Neither policy nor reference may use a feature of the step before."""

    def module(**changed: Any) -> GRPOModule:
        kept = {"freeze_vision_tower": frozen, "optimizer": sgd(0.0), "update": update(penalties=penalties)}
        return made(own_copy(random_policy), **kept, **changed)

    first = image_samples(2)
    second = [Sample.of(sample.example, noise_image(50 + n, 64, 64)) for n, sample in enumerate(first)]
    both, alone = module(), module()
    fit(both, [*first, *second], batch_size=2)
    alone.rollout_step = 1
    fit(alone, second, batch_size=2)
    assert both.figures == pytest.approx(alone.figures, rel=1e-5, abs=1e-6)
    assert both.figures["policy/sampler_gap"] < 1e-4
    assert both.figures.get("kl_reference/kl", 0) == pytest.approx(0, abs=1e-6)


def test_every_step_process_and_seed_samples_anew(random_policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    def ratings(step: int, process: int, seed: int = 0) -> list[Any]:
        module = made(own_copy(random_policy), seed=seed)
        module.rollout_step = step
        monkeypatch.setattr("zoom_iqa.training.grpo.rank", lambda: process)
        return [r.rating for group in module.collect(image_samples(2)) for r in group.rollouts]

    assert ratings(0, 0) == ratings(0, 0)
    for other in ((1, 0), (0, 1), (0, 0, 1)):
        assert ratings(0, 0) != ratings(*other)


def test_the_rate_follows_its_schedule_by_optimizer_step(random_policy: Policy) -> None:
    """Two rollouts of two updates each are four steps of the schedule; the log shows the last one's rate."""
    falling = Linear(start=1.0, end=0.0, steps=8)
    module = settings(update=update(mini_batches=2), lr_factor=falling)(
        policy=own_copy(random_policy), placement=Replicated(), steps=1
    )
    fit(module, image_samples(4), batch_size=2)
    assert module.figures["lr"] == pytest.approx(0.1 * 5 / 8)


def test_a_checkpoint_remembers_the_step(random_policy: Policy) -> None:
    module, other = (made(own_copy(random_policy)) for _ in range(2))
    fit(module, image_samples(4), batch_size=2)
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    assert other.rollout_step == 2
    checkpoint["state_dict"] = {f"{name}s": value for name, value in checkpoint["state_dict"].items()}
    with pytest.raises(CheckpointError, match=r"go on from: its tensors do not fit the policy; \d+ renamed: model\."):
        other.on_load_checkpoint(checkpoint)


def test_a_checkpoint_remembers_how_far_a_curriculum_has_come(random_policy: Policy) -> None:
    wide = Tolerance(widest=9.0, narrowest=0.35, factor=0.5)
    reward, again = (ladder(memory=0.5, tolerance=wide) for _ in range(2))
    module = made(own_copy(random_policy), task=SILENT, reward={"curriculum": reward})
    fit(module, image_samples(4), batch_size=2)
    assert set(reward.progress.competence) == {"rate", "rank"}  # nothing is known to be wrong with noise
    assert reward.progress.tolerance < 9.0
    assert module.figures["curriculum/rate"] > 0
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    made(own_copy(random_policy), task=SILENT, reward={"curriculum": again}).on_load_checkpoint(checkpoint)
    assert again.progress == reward.progress


class ImpreciseEngine(WrittenEngine):
    """Records log-probabilities that are too low."""

    def step(self) -> list[Generation]:
        return [replace(made, logprobs=tuple(logp - 0.2 for logp in made.logprobs)) for made in super().step()]


@pytest.mark.parametrize(("engine", "recomputed"), [(WrittenEngine, 0.0), (ImpreciseEngine, 1.0)])
def test_a_checkpoint_remembers_whether_the_sampler_is_trusted(
    engine: type[WrittenEngine], recomputed: float, random_policy: Policy
) -> None:
    def module() -> GRPOModule:
        recipe = settings(update=update(old_logp="measured"), engine=engine, optimizer=sgd(0.0))
        return recipe(policy=own_copy(random_policy), placement=Replicated(), steps=1)

    stopped, continued, forgetful = module(), module(), module()
    fit(stopped, image_samples(2), batch_size=2)
    assert "policy/sampler_gap_mean" in stopped.figures
    checkpoint: dict[str, Any] = {"state_dict": stopped.state_dict()}
    stopped.on_save_checkpoint(checkpoint)
    continued.on_load_checkpoint(checkpoint)
    forgetful.rollout_step = 1
    for other in (stopped, continued, forgetful):
        fit(other, image_samples(2), batch_size=2)
        assert other.figures["policy/old_recomputed"] == recomputed
    assert continued.figures == stopped.figures
    assert "policy/sampler_gap_mean" not in continued.figures
    assert "policy/sampler_gap_mean" in forgetful.figures


def test_the_tower_is_frozen_where_asked_for(random_policy: Policy) -> None:
    policy = own_copy(random_policy)
    fit(made(policy, freeze_vision_tower=True), image_samples(2), batch_size=2)
    before, after = weights(random_policy), weights(policy)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith("model.visual") for name in changed)


def test_wrong_settings_show_before_there_is_a_policy() -> None:
    with pytest.raises(ConfigError, match="group_size=1"):
        settings(group_size=1)
    with pytest.raises(ConfigError, match="max_grad_norm=0"):
        settings(max_grad_norm=0.0)
    with pytest.raises(ConfigError, match="features_capacity=-1"):
        settings(features_capacity=-1)
    with pytest.raises(ConfigError, match="logit_chunk=0"):
        settings(logit_chunk=0)
    with pytest.raises(ConfigError, match=r"top_p=0\.9"):
        settings(
            sampling=SamplingParams(
                temperature=1.0, top_p=0.9, top_k=0, greedy=False, max_new_tokens=9, stop_strings=()
            )
        )
    with pytest.raises(ConfigError, match="no terms"):
        settings(reward={})
    with pytest.raises(ConfigError, match="Invalid learning rate"):
        settings(optimizer=sgd(-1.0))


@pytest.mark.parametrize(("images", "said"), [(2, "0.18"), (5, "0.42"), (8, None)])
def test_a_rank_reward_over_few_images_says_what_it_costs(
    images: int, said: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = settings(reward={"rank": RankTerm(weight=1.0, eps=1e-6, preference="ordinal")})
    ranked.check_batch(images=images, processes=1)
    err = capsys.readouterr().err
    assert err.count("\n") == (said is not None)
    if said is not None:
        assert err.startswith(f"warning: reward.rank compares {images} images a step")
        assert f"correlation of about {said} " in err
        assert f"raise grpo.data.batch_size, now {images} a process" in err
    ranked.check_batch(images=2, processes=4)  # the images of all processes are compared
    settings().check_batch(images=1, processes=1)
    assert capsys.readouterr().err == ""


def test_batches_too_small_for_the_stage_are_refused() -> None:
    ranked = settings(reward={"rank": RankTerm(weight=1.0, eps=1e-6, preference="ordinal")})
    with pytest.raises(ConfigError, match="compares images"):
        ranked.check_batch(images=1, processes=1)
    ranked.check_batch(images=1, processes=2)
    settings().check_batch(images=1, processes=1)
    with pytest.raises(ConfigError, match="mini_batches=4 exceeds the 3 trajectories"):
        settings(update=update(mini_batches=4)).check_batch(images=1, processes=8)


def test_the_best_and_worst_rollouts_of_some_steps_are_kept_once(random_policy: Policy, tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "rollouts.jsonl", RecordCodec())
    for _ in range(2):  # the second run makes the same steps again
        module = settings()(policy=own_copy(random_policy), placement=Replicated(), steps=1)
        fit(module, image_samples(6), batch_size=2, folder=tmp_path)
        records = file.read()
        assert [record.step for record in records] == [0, 0, 2, 2]  # every second of three steps
        assert len(file.path.read_text().splitlines()) == 4
    for best, worst in (records[:2], records[2:]):
        assert best.rewards["total"] > worst.rewards["total"]
        assert set(best.rewards) == {"total", "score"}
