"""GRPO as a LightningModule: collect -> score -> build -> update -> log, once per training step.

Backward runs per micro-batch inside the step, so optimization is manual and clipping belongs here, not to the Trainer.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Never

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_answers, require_positive_or_inf, require_whole
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Example, RolloutGroup, Sample
from zoom_iqa.curation.judge_probe import Judge
from zoom_iqa.engines.engine import Engine, rest
from zoom_iqa.engines.patient import Patience, PatientEngine
from zoom_iqa.engines.speaker import Cost
from zoom_iqa.learning.step_clock import StepClock, TimedLikelihood
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.objectives.advantages import GroupAdvantages
from zoom_iqa.objectives.measures import reduce_measures, to_floats
from zoom_iqa.objectives.rewards.rubric import RewardInputs, RewardTerm, Rubric
from zoom_iqa.objectives.token_batch import DECIDED, NUMBERS
from zoom_iqa.parallel.agreement import agreed_answers
from zoom_iqa.parallel.placement import Placement
from zoom_iqa.parallel.processes import current_reducer, rank, world_size
from zoom_iqa.parallel.reducer import Reducer
from zoom_iqa.policy.freezing import freeze_vision, vision_is_frozen
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.lora import has_adapters
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.reference import StartAdaptersLikelihood, frozen_copy
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.policy.vision_gradients import VisionGradients
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.rollout.measures import digit_measures, reward_measures, rollout_measures
from zoom_iqa.rollout.probe import Probe
from zoom_iqa.rollout.recorder import RolloutRecorder
from zoom_iqa.tasks.grades import JUDGE
from zoom_iqa.tasks.task import Task, check_examples, check_given, derive_seed
from zoom_iqa.training.bad_steps import BadSteps, check_max_bad_steps
from zoom_iqa.training.checkpoints import require_fitting
from zoom_iqa.training.optimizer_setup import (
    OptimizerFactory,
    RateSchedule,
    check_optimizer,
    check_rate,
    configure,
    rate_factor,
)
from zoom_iqa.training.stage_logs import ShownTrajectory, show_in

ROLLOUTS = "rollouts.jsonl"
"""Below the trainer's root: the best and worst rollouts of every so many steps."""
PHASES = ("rollout", "reward", "prepare", "reference", "forward", "backward", "optimizer")


@dataclass(frozen=True, kw_only=True)
class GRPORecipe:
    """All of a GRPO stage but the policy; called with one, it makes the module. Wrong values show before there is one.

    Raises:
        ConfigError: a value is out of range, sampling is truncated, or the optimizer refuses a setting.
    """

    axis: ClassVar[str] = "rollout_step"
    task: Task
    probes: Mapping[str, Probe]
    judge: Judge | Mapping[str, Never]
    reward: Mapping[str, RewardTerm]
    advantage: GroupAdvantages
    update: PolicyUpdate
    engine: Callable[..., Any]
    patience: Patience
    sampling: SamplingParams
    features_capacity: int
    logit_chunk: int
    optimizer: OptimizerFactory
    lr_factor: RateSchedule
    group_size: int
    max_grad_norm: float
    max_bad_steps: int
    freeze_vision_tower: bool
    recorder: RolloutRecorder
    seed: int
    rubric: Rubric = field(init=False)

    def __post_init__(self) -> None:
        require_answers("grpo.module.group_size", self.group_size, least=2, note="advantages compare a group")
        require_whole("grpo.module.features_capacity", self.features_capacity, least=0, note="0 keeps none")
        require_whole("grpo.module.logit_chunk", self.logit_chunk, least=1)
        require_positive_or_inf("grpo.module.max_grad_norm", self.max_grad_norm, inf_means="clips nothing")
        self.sampling.require_unbiased()
        object.__setattr__(self, "rubric", Rubric(terms=self.reward))
        self.rubric.check_probes(self.asked)
        check_given(self.task, {**self.rubric.needs, **self.update.needs})
        if JUDGE in self.asked and not self.rubric.reads(JUDGE):
            raise ConfigError(
                "a judge is named and no term of the reward reads its grades; choose reward=judged, or judge=none"
            )
        check_max_bad_steps("grpo", self.max_bad_steps)
        check_optimizer(self.optimizer)
        check_rate(self.lr_factor, where="grpo.module.lr_factor")

    @property
    def asked(self) -> dict[str, Probe]:
        """All that is asked about finished rollouts, the judge's question among it where there is a judge."""
        return {**self.probes, **({JUDGE: self.judge.probe} if isinstance(self.judge, Judge) else {})}

    def check_batch(self, *, images: int, processes: int) -> None:
        """Refuse a rollout that the reward or the mini-batches cannot be made of; say on stderr what few images cost.

        ``images`` are those of a process, all that it accumulates.

        Raises:
            ConfigError: too few images for a term of the reward, or more mini-batches than trajectories.
        """
        needed = self.rubric.min_images
        if images * processes < needed:
            raise ConfigError(
                f"grpo.data.batch_size={images} with what is accumulated, times {processes} for as many processes: the "
                f"reward compares images; use at least {needed} in all, or a reward that does not, such as "
                "reward=score_only"
            )
        self.update.check_trajectories(images * self.group_size)
        if rank() == 0:
            for warning in self.rubric.warnings(images=images * processes):
                print(f"warning: {warning}; raise grpo.data.batch_size, now {images} a process", file=sys.stderr)

    def check_labels(self, examples: Sequence[Example]) -> None:
        """Refuse examples that the task cannot ask about, and labels that the reward cannot be made of.

        Raises:
            ConfigError: a label lacks what a term of the reward reads.
            DataError: an example has more or fewer images than the task asks about.
        """
        check_examples(self.task, examples)
        self.rubric.check_labels(examples)
        self.rubric.check_some(examples)

    def __call__(self, *, policy: Policy, placement: Placement, steps: int) -> GRPOModule:
        """The module that trains ``policy`` in so many steps."""
        return GRPOModule(policy=policy, placement=placement, settings=self, steps=steps)


class GRPOModule(L.LightningModule):
    """Trains a policy on its own rollouts.

    A batch is a list of Sample: every image of one rollout, all accumulation included, so that the rank reward
    can compare them.
    """

    def __init__(self, *, policy: Policy, placement: Placement, settings: GRPORecipe, steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = policy.model
        self.rollout_step = 0
        self.figures: dict[str, float] = {}
        self._rate = math.nan  # of the last optimizer step
        self._policy, self._placement = policy, placement
        self._task, self._probes, self._seed = settings.task, settings.asked, settings.seed
        self._judge = settings.judge if isinstance(settings.judge, Judge) else None
        self._judge_cost: Cost = dict
        self._recorder = settings.recorder
        self._rubric, self._advantage, self._update = settings.rubric, settings.advantage, settings.update
        self.bad_steps = BadSteps(stage="grpo", max_bad_steps=settings.max_bad_steps)
        self._optimizer = settings.optimizer
        self._lr_factor = rate_factor(settings.lr_factor, steps=steps * settings.update.steps_per_rollout)
        self._group_size, self._max_grad_norm = settings.group_size, settings.max_grad_norm
        if settings.freeze_vision_tower:
            freeze_vision(policy)
        features = VisionCache(model=policy.model, capacity=settings.features_capacity)
        make = partial(settings.engine, policy=policy, sampling=settings.sampling, features=features)
        self._make_engine = partial(PatientEngine, make, patience=settings.patience)
        self._engines: dict[str, Engine] = {"policy": self._make_engine()}
        self._tower_learns = not vision_is_frozen(policy)
        self._vision = VisionGradients(model=policy.model, cache=features) if self._tower_learns else features
        self._clock = StepClock(phases=PHASES)
        self._likelihood = _likelihood(policy, settings, self._vision, self._clock, "forward")
        self._reference: Likelihood | StartAdaptersLikelihood | None = None
        self._reference_policy: Policy | None = None
        if self._update.needs_reference and has_adapters(policy.model):
            self._reference = StartAdaptersLikelihood(
                likelihood=_likelihood(policy, settings, self._vision, self._clock, "reference"), policy=policy
            )
        elif self._update.needs_reference:
            self._reference_policy = frozen_copy(policy)
            frozen = VisionCache(model=self._reference_policy.model, capacity=settings.features_capacity)
            features_of_reference = frozen if self._tower_learns else self._vision
            self._reference = _likelihood(
                self._reference_policy, settings, features_of_reference, self._clock, "reference"
            )

    @property
    def policy(self) -> Policy:
        """The policy that is trained."""
        return self._policy

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        """With the judge at work within the block, where there is one; its answers and requests lie in ``folder``."""
        if self._judge is None:
            yield
            return
        with self._judge.opened(folder, process=rank()) as speaking:
            self._engines[JUDGE], self._judge_cost = speaking.engine, speaking.cost
            yield

    def configure_model(self) -> None:
        """Lay out the weights, before Lightning asks for an optimizer."""
        self._rest_engine()
        self._placement.place(self.model)
        if self._reference_policy is not None:
            self._placement.place(self._reference_policy.model)

    def on_fit_start(self) -> None:
        """Bring the reference to the device; it is no submodule, so that checkpoints do not hold it twice."""
        if self._reference_policy is not None:
            self._reference_policy.model.to(self.device)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One optimizer over the trainable parameters, with its schedule."""
        return configure(self.model, self._placement, self._optimizer, self._lr_factor)

    def training_step(self, batch: list[Sample], batch_idx: int) -> None:
        """One rollout and the updates made from it."""
        reducer = current_reducer()
        self._clock.start(self.device)
        with self._clock.phase("rollout"), agreed_answers(reducer):
            groups = self.collect(batch)
        with self._clock.phase("reward"):
            inputs = RewardInputs.from_groups(groups, reducer=reducer)
            rewards = self._rubric.rewards(inputs, step=self.rollout_step)
        advantages_BG = self._advantage(rewards.total_BG)
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        with self._clock.phase("prepare"):
            table = build_table(rollouts, advantages_BG.reshape(-1), policy=self._policy, views=self._update.views)
        learned = self._update.run(
            table,
            likelihood=self._likelihood,
            reference=self._reference,
            backward=self._clock.timed("backward", self.manual_backward),
            optimizer_step=self._clock.timed(
                "optimizer", partial(self._optimizer_step, batch, rewards.not_finite, reducer)
            ),
            step=self.rollout_step,
            reducer=reducer,
        )
        if not learned["policy/skipped_steps"]:
            self.bad_steps.good()
        generated = sum(len(step.generation.token_ids or ()) for rollout in rollouts for step in rollout.steps)
        spent = self._clock.measures(
            images=len(batch), tokens={"generated_tokens": (generated, "rollout")}, processes=world_size()
        )
        watched = reduce_measures(
            {
                **rollout_measures(groups),
                **digit_measures(groups, digits_T=table.marks[NUMBERS], rating_T=table.marks[DECIDED]),
                **reward_measures(rewards, advantages_BG),
            },
            reducer=reducer,
        )
        self._log(
            {**to_floats(watched), **learned, **self._rubric.advance(inputs), **self._spent_on_judge(reducer)},
            to_floats(reduce_measures(spent, reducer=reducer)),
        )
        if not rewards.not_finite:
            self._keep(self._recorder.pick(groups, rewards, step=self.rollout_step), batch)
        self.rollout_step += 1
        if batch_idx == 0:
            self.on_save_checkpoint({})  # fail now if a state cannot be saved

    def collect(self, batch: list[Sample]) -> list[RolloutGroup]:
        """A group of rollouts for each image, by the policy as it is, with the seeds of this step and process."""
        self._vision.clear()  # of a step that did not come to its end
        self.model.eval()
        with self._placement.lent(self._policy):
            if "policy" in self._engines:
                self._engines["policy"].refresh()
            else:
                self._engines["policy"] = self._make_engine()
            groups = collect_groups(
                batch,
                task=self._task,
                engines=self._engines,
                probes=self._probes,
                group_size=self._group_size,
                seed=derive_seed(self._seed, "rollout", self.rollout_step, rank()),
            )
            self._rest_engine()
        self.model.train()
        return groups

    def _rest_engine(self) -> None:
        """Leave the engine no weights of its own: the update needs the room."""
        if self._placement.lends_copies:
            del self._engines["policy"]
        else:
            rest(self._engines["policy"])

    def release_memory(self) -> None:
        """Drop engines, features and the reference: the stage is done."""
        self._engines.clear()
        self._vision.clear()
        self._reference = self._reference_policy = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The step seeds the sampling; it and a few verdicts and states are all a resumed run needs beside weights."""
        checkpoint["rollout_step"] = self.rollout_step
        checkpoint["update"] = self._update.state_dict()
        checkpoint["reward"] = self._rubric.state_dict()
        checkpoint["bad_steps"] = self.bad_steps.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the step the checkpoint was written at."""
        require_fitting(self, checkpoint)
        self.rollout_step = checkpoint["rollout_step"]
        self._update.load_state_dict(checkpoint["update"])
        self._rubric.load_state_dict(checkpoint.get("reward", {}))  # checkpoints of 0.1.0 have none
        self.bad_steps.load_state_dict(checkpoint["bad_steps"])

    def _spent_on_judge(self, reducer: Reducer) -> dict[str, float]:
        """All that the judge's answers have cost so far, in all processes, before the run was stopped too."""
        cost = self._judge_cost()
        if not cost:
            return {}
        summed = reducer.sum(torch.tensor(list(cost.values()), dtype=torch.float64)).tolist()
        return {f"judge/{name}": value for name, value in zip(cost, summed, strict=True)}

    def _keep(self, records: Sequence[Record], batch: list[Sample]) -> None:
        """Write down and show what a step's rollouts were, the first process's; one made again is there already."""
        if not records or rank() != 0:
            return
        codec = RecordCodec()
        with RecordFile(Path(self.trainer.default_root_dir) / ROLLOUTS, codec) as file:
            known = {codec.key(record) for record in file.written}
            file.append(record for record in records if codec.key(record) not in known)
        images = {sample.example.name: sample.image for sample in batch}
        shown = [ShownTrajectory(record=record, image=images[record.example.name]) for record in records]
        show_in(self.loggers, "training", shown, step=self.rollout_step)

    def _optimizer_step(
        self, batch: list[Sample], not_finite: dict[str, list[int]], reducer: Reducer, finite: bool
    ) -> float | None:
        """Step, or where loss or gradient is not finite in some process leave the step out and say of which images."""
        optimizer: Any = self.optimizers()
        self._rate = optimizer.param_groups[0]["lr"]
        norm = self._placement.sum_clip_step(self.model, optimizer, max_norm=self._max_grad_norm, finite=finite)
        if self._tower_learns:
            self._vision.clear()
        if norm is not None:
            self.lr_schedulers().step()  # type: ignore[union-attr]  # one schedule, not a list
            return norm
        rows = sorted({row for found in not_finite.values() for row in found}) or range(len(batch))
        reason = f"reward.{' and reward.'.join(not_finite)}" if not_finite else "the gradient" if finite else "the loss"
        self.bad_steps.bad(
            [batch[row].example.name for row in rows],
            reason=f"{reason} is not finite",
            suspect=not finite,
            step=self.rollout_step,
            folder=Path(self.trainer.default_root_dir),
            reducer=reducer,
        )
        return None

    def _log(self, figures: dict[str, float], spent: dict[str, float]) -> None:
        self.figures = {**figures, "lr": self._rate}
        for logger in self.loggers:  # the x-axis is the rollout, not the optimizer step
            logger.log_metrics({**self.figures, **spent}, step=self.rollout_step)


def _likelihood(
    policy: Policy, settings: GRPORecipe, features: VisionCache | VisionGradients, clock: StepClock, phase: str
) -> Likelihood:
    return TimedLikelihood(
        clock=clock,
        phase=phase,
        policy=policy,
        temperature=settings.sampling.temperature,
        features=features,
        logit_chunk=settings.logit_chunk,
    )
