"""Agreement with human scores while a stage trains: on the loggers, for checkpoints, and as a reason to stop."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.seed import isolate_rng

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.ranges import require_count_or_none, require_whole
from zoom_iqa.base.targets import Preference
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.evaluation.figures import figures_of
from zoom_iqa.parallel.processes import rank, wait_for_all
from zoom_iqa.parallel.stopping import between_steps
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.strategy import lent

LOGGED = (
    "pair_accuracy", "pair_accuracy_sd", "srcc", "plcc", "srcc_midpoint", "plcc_midpoint", "srcc_expected",
    "rating_variance", "expected_spread", "unique_score_ratio", "crop_rate", "accuracy", "order_flip_rate",
    "valid_rate", "format_rate",
)  # fmt: skip
"""Figures logged as val/<data set>/<figure>."""
MONITORED = ("pair_accuracy", "srcc_midpoint", "plcc_midpoint", "accuracy")
"""Figures that may decide: more is better, and unreadable answers count. SRCC leaves them out, and may rise by that."""


class BenchmarkEvaluation(L.Callback):
    """Evaluates after every ``every`` steps and after the last, without touching what training draws at random.

    A step is an optimizer step of SFT, a rollout of GRPO; figures stand at the step just made, beside its others, in
    every logger, and in ``trainer.callback_metrics`` for ModelCheckpoint, where the evaluation was not made up for. A
    figure that is undefined is in neither.
    ``monitor`` on the first data set decides which policy is best: with ``keep_best`` it is kept in transformers'
    layout as ``best/step-NNNNNN`` under the trainer's root, and with ``patience`` training stops after so many
    evaluations without a better one. pair_accuracy never gains by an answer that is lost; the midpoint figures,
    where it counts as 3.00, gain by losing one that would have been further off. Predictions stay in
    ``validation/<data set>/step-NNNNNN.jsonl``.

    The module has its ``policy``. With several processes all take part, and all see the same figures.

    Raises:
        ConfigError: a number below 1, an unknown figure, no data set, or two of one name.
    """

    def __init__(
        self, *, evaluators: Mapping[str, Evaluator], every: int, monitor: str, patience: int | None, keep_best: bool
    ) -> None:
        require_whole("validation.every", every, least=1)
        require_count_or_none("validation.patience", patience, none_means="never stops early")
        if monitor not in MONITORED:
            raise ConfigError(f"validation.monitor={monitor}: choose one of {', '.join(MONITORED)}")
        self._evaluators = {evaluator.dataset_name: evaluator for evaluator in evaluators.values()}
        if not evaluators or len(self._evaluators) < len(evaluators):
            raise ConfigError(
                f"validation.evaluators: {list(evaluators)} must be one or more, each of another data set"
            )
        for evaluator in evaluators.values():
            check_figure(monitor, evaluator, setting=f"validation.monitor={monitor}")
        self._every, self._monitor, self._patience, self._keep_best = every, monitor, patience, keep_best
        self._best: float | None = None
        self._since_best = 0
        self._due: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make up for an evaluation that was not brought to its end, and stop where that was decided before."""
        if self._due is not None:
            self._validate(trainer, pl_module, self._due)
        if self._patience is not None and self._since_best >= self._patience:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate where a step that is due is complete."""
        done = batch_idx + 1
        if done % self._every and done != trainer.num_training_batches:
            return
        for name, value in self._validate(trainer, pl_module, batch_idx).items():
            pl_module.log(name, value, on_step=True, on_epoch=False, logger=False, batch_size=1)

    def state_dict(self) -> dict[str, Any]:
        """State that a continued run needs; ``due`` is the step whose evaluation has come to no end."""
        return {"best": self._best, "since_best": self._since_best, "due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._best, self._since_best = state_dict["best"], state_dict["since_best"]
        self._due = state_dict.get("due")  # checkpoints of 0.1.0 have none

    def _validate(self, trainer: L.Trainer, pl_module: L.LightningModule, step: int) -> dict[str, float]:
        self._due = step
        with lent(trainer, _policy(pl_module)):
            figures = self._evaluate(trainer, pl_module, step)
            for logger in trainer.loggers:
                logger.log_metrics(figures, step=step)
            self._judge(trainer, pl_module, step, figures)
        self._due = None
        return figures

    def _evaluate(self, trainer: L.Trainer, pl_module: L.LightningModule, step: int) -> dict[str, float]:
        figures: dict[str, float] = {}
        with isolate_rng():  # loaders draw seeds for their workers
            for name, evaluator in self._evaluators.items():
                path = Path(trainer.default_root_dir) / "validation" / name / f"step-{step:06d}.jsonl"
                if rank() == 0:
                    for stale in path.parent.glob(f"{path.stem}*"):  # of a run that was stopped and has come here again
                        stale.unlink()
                wait_for_all()
                with between_steps():
                    predictions = evaluator.run(_policy(pl_module), path=path, title=None)
                scored = figures_of(predictions, None)
                numbers = {key: scored[key] for key in LOGGED if isinstance(scored.get(key), float)}
                figures |= {f"val/{name}/{key}": value for key, value in numbers.items()}
        return figures

    def _judge(self, trainer: L.Trainer, pl_module: L.LightningModule, step: int, figures: dict[str, float]) -> None:
        prefix = f"val/{next(iter(self._evaluators))}/"
        value, sd = (figures.get(prefix + name) for name in (self._monitor, f"{self._monitor}_sd"))
        better = value is not None and (self._best is None or value > self._best)
        self._since_best = 0 if better else self._since_best + 1
        if rank() == 0:
            noise = "" if sd is None else f" ± {sd:.4f} (answered anew)"
            said = "undefined" if value is None else f"{value:.4f}{noise}"
            print(
                f"step {step}: {printable(prefix)}{self._monitor} {said}{', the best so far' if better else ''}",
                file=sys.stderr,
            )
        if better:
            self._best = value
            if self._keep_best:
                _keep(_policy(pl_module), Path(trainer.default_root_dir) / "best" / f"step-{step:06d}")
        elif self._patience is not None and self._since_best >= self._patience:
            trainer.should_stop = True


def check_figure(figure: str, evaluator: Evaluator, *, setting: str) -> None:
    """Pass a figure that the evaluator's labels can have; ``setting`` is the key and value that name it.

    Raises:
        ConfigError: it is one of the other kind of labels.
    """
    compared = isinstance(evaluator.examples[0].target, Preference)
    if figure in MONITORED and compared != (figure == "accuracy"):
        kind, fitting = ("preferences", "accuracy") if compared else ("opinion scores", "pair_accuracy")
        raise ConfigError(f"{setting}: {evaluator.dataset_name} is labelled by {kind}; use {fitting}")


def _policy(module: L.LightningModule) -> Policy:
    policy: Any = module.policy
    assert isinstance(policy, Policy), "a module that is evaluated has its policy"
    return policy


def _keep(policy: Policy, folder: Path) -> None:
    """Save a policy, then remove those it beats: at no moment is there none."""
    if rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)
        policy.save(folder)
        for beaten in folder.parent.iterdir():
            if beaten != folder:
                shutil.rmtree(beaten)
    wait_for_all()
