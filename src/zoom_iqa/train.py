"""Train a policy: ``python -m zoom_iqa.train [+experiment=quickstart] [group=choice] [key=value]``.

Runs the stages of the config in order, each from the policy the one before left, and evaluates after each. Started
again with the same ``paths.run_dir`` and config, it goes on where it was stopped.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import hydra
import lightning as L
import torch
import transformers
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.config import check_config, conf_dir, expected_errors, run_command
from zoom_iqa.errors import ConfigError
from zoom_iqa.evaluation.scoring import StageMetrics, score_predictions
from zoom_iqa.evaluation.table import print_table
from zoom_iqa.policy.policy import Policy
from zoom_iqa.run_folder import RunFolder

CHECKPOINT_DONE = "done.ckpt"
CHECKPOINT_LAST = "last.ckpt"


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
def _main(cfg: DictConfig) -> float | None:
    with expected_errors():  # inside the job too: Hydra announces failed jobs in lines of its own
        return train(cfg, Path(HydraConfig.get().runtime.output_dir))


def main() -> None:
    """Entry point: errors made on purpose end in one line and status 2."""
    run_command(_main)


def train(cfg: DictConfig, run_dir: Path) -> float | None:
    """Run every stage of ``cfg``; returns the metric a sweep optimizes, if the config names one."""
    check_config(cfg)
    OmegaConf.resolve(cfg)
    _quiet_libraries()
    L.seed_everything(cfg.seed, verbose=False)
    parts = {name: _StageParts(name, cfg) for name in cfg.stages}  # everything cheap, so that mistakes show now
    evaluator = instantiate(cfg.evaluation.run)
    rubric_terms = instantiate(cfg.reward)
    folder = RunFolder(run_dir)
    folder.open(OmegaConf.to_yaml(cfg))
    policy: Policy = instantiate(cfg.policy)

    metrics = folder.metrics()
    for name, stage in parts.items():
        stage.train(policy, folder)
        predictions = evaluator.run(policy, path=folder.stage_predictions(name), title=f"evaluate {name}")
        metrics[name] = score_predictions(predictions, rubric_terms)
        folder.write_metrics(metrics)
    folder.publish_predictions(list(parts)[-1])
    if not folder.policy.exists():
        policy.save(folder.policy)
    print_table(metrics, run_dir)
    return _optimized(cfg.optimized_metric, metrics)


class _StageParts:
    """The module, data and trainer of one stage, made from its config; the module waits for its policy."""

    def __init__(self, name: str, cfg: DictConfig) -> None:
        if name not in cfg or "module" not in cfg[name]:
            valid = [str(key) for key, node in cfg.items() if isinstance(node, DictConfig) and "module" in node]
            raise ConfigError(f"stages: no stage is named {name!r}; choose from {', '.join(valid)}")
        self._name, self._stage = name, cfg[name]
        self._module = instantiate(self._stage.module)
        self._data: L.LightningDataModule = instantiate(self._stage.data)
        self._trainer_config = {**cfg.trainer, **self._stage.trainer}
        self._callbacks, self._loggers, self._seed = cfg.callbacks, cfg.logger, cfg.seed

    def train(self, policy: Policy, folder: RunFolder) -> None:
        """Fit, or take the weights of a stage that is already done."""
        done = folder.checkpoints(self._name) / CHECKPOINT_DONE
        if done.exists():
            _load_weights(policy, done)
            return
        L.seed_everything(self._seed, verbose=False)
        trainer = self._trainer(folder)
        trainable = [parameter.requires_grad for parameter in policy.model.parameters()]
        module = self._module(policy=policy)
        last = folder.checkpoints(self._name) / CHECKPOINT_LAST
        trainer.fit(module, datamodule=self._data, ckpt_path=str(last) if last.exists() else None, weights_only=False)
        trainer.save_checkpoint(done, weights_only=False)
        for parameter, trained in zip(policy.model.parameters(), trainable, strict=True):
            parameter.requires_grad_(trained)  # what this stage froze, the next may train

    def _trainer(self, folder: RunFolder) -> L.Trainer:
        logs = folder.logs(self._name)
        loggers = [instantiate(node)(save_dir=str(logs)) for node in self._loggers.values()]
        callbacks = [instantiate(node) for node in self._callbacks.values()]
        checkpoints = L.pytorch.callbacks.ModelCheckpoint(
            dirpath=folder.checkpoints(self._name), filename="last", every_n_train_steps=self._stage.checkpoint_every
        )
        made: L.Trainer = instantiate(self._trainer_config)(
            max_epochs=1,
            logger=loggers,
            callbacks=[*callbacks, checkpoints],
            enable_progress_bar=any(isinstance(c, L.pytorch.callbacks.ProgressBar) for c in callbacks),
        )
        return made


def _load_weights(policy: Policy, checkpoint: Path) -> None:
    """Strictly: every weight of the policy must be in the checkpoint."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=False, mmap=True)["state_dict"]
    policy.model.load_state_dict({key.removeprefix("model."): value for key, value in state.items()}, strict=True)


def _optimized(name: str | None, metrics: dict[str, StageMetrics]) -> float | None:
    if name is None:
        return None
    stage, _, key = name.partition(".")
    value: Any = metrics.get(stage, {}).get(key)
    if not isinstance(value, int | float):
        raise ConfigError(
            f"optimized_metric={name}: the run has no such number; choose stage.metric, such as grpo.srcc"
        )
    return float(value)


def _quiet_libraries() -> None:
    """Hush advice that does not apply: loaders are sized by config, one epoch is the whole stage, bars are ours."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*module.s. in eval mode at the start of training.*",
        ".*treespec, LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message=message)


if __name__ == "__main__":
    main()
