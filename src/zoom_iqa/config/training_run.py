"""A training run from its config: stages in order, each from the policy the one before left, an evaluation after each.

Started again with the same ``paths.run_dir`` and config, it goes on where it was stopped.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import hydra
import lightning as L
import transformers
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.provenance import provenance
from zoom_iqa.base.run_folder import FAILURE, RunFolder
from zoom_iqa.config import own_labels
from zoom_iqa.config.announcement import STOPPING, announce, described
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.commands import FAILED, expected_errors, run_command
from zoom_iqa.config.go_on import begun_with, beside_the_others, go_on_command, is_multirun, names_its_folder, quoted
from zoom_iqa.config.hand_over import hand_over, publish, say_handed_over
from zoom_iqa.config.kept_config import kept_config
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.machine import PROCESSES, check_machine, patience_s
from zoom_iqa.config.policy_card import policy_card
from zoom_iqa.config.stages import make_stage, stage_names
from zoom_iqa.config.tree import print_tree
from zoom_iqa.data.fingerprint import fingerprint
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.evaluation.figures import DECIDING, StageMetrics, figures_of
from zoom_iqa.evaluation.table import print_table
from zoom_iqa.objectives.rewards.rubric import Rubric
from zoom_iqa.parallel.processes import rank, wait_for_all, world_size
from zoom_iqa.parallel.slurm import requeued
from zoom_iqa.policy.policy import Policy
from zoom_iqa.reports.overview import write_overview
from zoom_iqa.training.fabric import fabric_of, launch, starts_processes
from zoom_iqa.training.stage import Stage
from zoom_iqa.training.stage_logs import StageFacts, StageLogs
from zoom_iqa.training.strategy import placement_of
from zoom_iqa.training.validation import check_figure

# what is read, here or through interpolations that an override may have taken away
READ_HERE = (
    "ratings",
    *own_labels.KEYS,
    "name",
    "stages",
    "seed",
    "optimized_metric",
    "show_config",
    "machine",
    "size",
    "max_pixels",
    "upright",
    "stop_strings",
    "paths.runs",
    "paths.run_dir",
)
READ_OF_STAGES = ("checkpoint_every", "keep_checkpoints", "trainer", "steps", "epochs", "images", "accumulate")


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="train")
def _main(cfg: DictConfig) -> float | None:
    run_dir = Path(HydraConfig.get().runtime.output_dir)
    try:
        # inside the job too: Hydra announces failed jobs in lines of its own
        with (
            _others_go_on(run_dir / FAILURE),
            expected_errors(go_on=lambda: go_on_command(run_dir)),
            requeued(same_folder=names_its_folder()),
        ):
            return train(cfg, run_dir)
        return None
    finally:
        with suppress(OSError):
            run_dir.rmdir()  # Hydra made it; a run that never began left it empty


@contextmanager
def _others_go_on(mark: Path) -> Iterator[None]:
    """A run of a multirun that fails leaves ``mark`` and does not end the others; SweepSummary reads it at the end."""
    if not is_multirun():
        yield
        return
    try:
        with suppress(OSError):
            mark.unlink()
        yield
    except SystemExit as ended:
        if ended.code != FAILED:
            raise
        with suppress(OSError):  # of a full disk, which the error has named
            mark.touch()


def run() -> None:
    """Train as the command line says: errors made on purpose end in one line and status 2."""
    run_command(_main, config_name="train")


def train(cfg: DictConfig, run_dir: Path) -> float | None:
    """Run every stage of ``cfg``; returns the metric a sweep optimizes, if the config names one."""
    check(cfg)
    _quiet_libraries()
    fabric = _fabric(cfg.trainer, cfg.machine)
    config_yaml = kept_config(cfg, processes=_count(fabric))
    OmegaConf.resolve(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    stages, evaluator, rubric = _parts(cfg)
    if fabric.node_rank == 0 and fabric.local_rank == 0:
        RunFolder(run_dir).check(config_yaml)
        own_labels.say_what_is_assumed(cfg)
        if cfg.show_config:
            print_tree(cfg)
        instantiate(cfg.logger)  # made and dropped: one that cannot log in shows now, in the process that logs
    folder = _joined(fabric, run_dir, silent_after_s=cfg.machine.silent_after_s)
    for stage in stages.values():
        stage.check_batch(processes=world_size())
    policy: Policy = instantiate(cfg.policy)
    policy.model.to(fabric.device)
    placement = placement_of(cfg.trainer.strategy)
    origin = _origin(stages, evaluator)
    with folder.opened(config_yaml) if rank() == 0 else nullcontext():
        if rank() == 0:
            _announce(cfg, folder, policy, stages, images=len(evaluator.dataset))
            folder.write_origin(origin)
        wait_for_all()
        makers = [instantiate(node) for node in cfg.logger.values()]
        metrics, kept = folder.metrics(), False
        for name, stage in stages.items():
            with StageLogs(makers, _facts(cfg, stage, folder, origin)) as logs:
                stage.train(policy, folder, placement=placement, loggers=logs.loggers)
                policy.model.to(fabric.device)
                predictions = evaluator.run(policy, path=folder.stage_predictions(name), title=f"evaluate {name}")
                figures = figures_of(predictions, rubric)
                fresh, metrics[name] = name not in metrics, figures
                if rank() == 0 and fresh:
                    logs.evaluated(figures, predictions, evaluator.dataset, step=stage.data.steps(world_size()))
                if rank() == 0:
                    folder.write_metrics(metrics)
                    write_overview(folder.path)
                if rank() == 0 and name == cfg.stages[-1]:
                    publish(folder, policy, last=name, card=_card(cfg, metrics, evaluator, config_yaml))
                    kept = hand_over(folder, last=name, logs=logs)
        if rank() == 0:
            if kept:
                say_handed_over(folder, last=cfg.stages[-1])  # the logs are closed, so that all has been sent
            print_table(metrics, folder.path)
        wait_for_all()
    return _optimized(cfg.optimized_metric, metrics)


def check_parts(cfg: DictConfig) -> None:
    """As ``check``, and make the parts of a run that are cheap, as a run does before it loads a policy.

    Raises:
        ConfigError: as ``check``, or a part refuses its values.
        DataError: labels are unusable or images missing.
    """
    check(cfg)
    _quiet_libraries()
    OmegaConf.resolve(cfg)
    _parts(cfg)


def _parts(cfg: DictConfig) -> tuple[dict[str, Stage], Evaluator, Rubric]:
    """Stages, evaluation and rewards of a resolved config: everything cheap, so that mistakes show now."""
    stages = {name: make_stage(name, cfg) for name in cfg.stages}
    evaluator: Evaluator = instantiate(cfg.evaluator)
    rubric = Rubric(terms=instantiate(cfg.reward))
    rubric.check_labels(evaluator.examples)  # its mean reward is in the figures
    if cfg.optimized_metric is not None:
        check_figure(cfg.optimized_metric.split(".")[1], evaluator, setting=f"optimized_metric={cfg.optimized_metric}")
    return stages, evaluator, rubric


def check(cfg: DictConfig) -> None:
    """Look at everything that can be wrong with a config before a part of it is made.

    Raises:
        ConfigError: a value is out of range, or a key is not there or read by nothing.
    """
    if not isinstance(cfg.seed, int) or not 0 <= cfg.seed < 2**32:
        raise ConfigError(f"seed={cfg.seed} must be a whole number from 0 to {2**32 - 1}")
    if not str(cfg.paths.run_dir).strip():
        raise ConfigError("paths.run_dir is empty; name a folder")
    if not isinstance(cfg.stages, ListConfig) or not cfg.stages or len(set(cfg.stages)) != len(cfg.stages):
        raise ConfigError(f"stages={cfg.stages} must be a list of different stages, such as [sft,grpo]")
    if cfg.policy.get("dtype") == "float16":
        raise ConfigError("policy.dtype=float16: small gradients would be 0 in it; set policy.dtype=bfloat16 to train")
    own_labels.check(cfg)
    check_machine(cfg.machine)
    check_config(cfg)
    read = [f"{name}.{key}" for name in stage_names(cfg) for key in READ_OF_STAGES]
    check_read(cfg, read=[*READ_HERE, *read])
    _check_optimized(cfg.optimized_metric, cfg.stages)


def _fabric(trainer: DictConfig, machine: DictConfig) -> L.Fabric:
    """The Fabric that joins the processes that ``trainer`` asks for, once for all stages and evaluations.

    Raises:
        ConfigError: the machine does not have what is asked for, or it is a multirun that would start processes.
    """
    settings = {key: trainer[key] for key in PROCESSES}
    fabric = fabric_of(settings, where="trainer", patience_s=patience_s(machine))
    if starts_processes(fabric) and is_multirun():
        raise ConfigError(
            "trainer: a multirun starts no further processes; use one device a run, or a Hydra launcher that does"
        )
    return fabric


def _joined(fabric: L.Fabric, run_dir: Path, *, silent_after_s: float) -> RunFolder:
    """Start and join the processes; the folder is the first one's, as each may have made up its own.

    Raises:
        ConfigError: there are fewer than are asked for.
    """
    arguments = beside_the_others(sys.argv[1:], f"hydra.run.dir={quoted(str(run_dir))}")
    launch(fabric, arguments=arguments, silent_after_s=silent_after_s)
    if world_size() != _count(fabric):
        raise ConfigError(
            f"trainer: {_count(fabric)} processes are asked for and {world_size()} run; in a SLURM script start them "
            "by srun, with as many tasks a node (--ntasks-per-node) as trainer.devices"
        )
    return RunFolder(Path(fabric.broadcast(str(run_dir))))


def _count(fabric: L.Fabric) -> int:
    """How many processes there will be: a batch is as large as all of theirs together."""
    strategy = fabric.strategy
    return int(getattr(strategy, "num_processes", 1)) * int(getattr(strategy, "num_nodes", 1))


def _announce(cfg: DictConfig, folder: RunFolder, policy: Policy, stages: Mapping[str, Stage], *, images: int) -> None:
    rows = {"run folder": str(folder.path), "policy": described(policy, cfg.policy.path)}
    rows |= {name: stage.length(folder, processes=world_size()) for name, stage in stages.items()}
    if "sft" in stages and cfg.ratings is not None:
        rows |= {"ratings": _told_ratings(cfg)}
    rows |= {"evaluation": f"{images:,} images after each stage"}
    rows |= {"to stop": STOPPING, "to go on": go_on_command(folder.path)}
    announce(rows)


def _told_ratings(cfg: DictConfig) -> str:
    """Whose ratings SFT learns where another's were asked for: a set that has scores alone tells them."""
    if cfg.data.trajectories.get("ratings") is None:
        return "SFT learns its set's scores; ratings=generator is for the embedded set alone"
    return "SFT learns a simulated generator's, GRPO people's (ratings=truth: both people's)"


def _origin(stages: Mapping[str, Stage], evaluator: Evaluator) -> dict[str, Any]:
    """The command, versions and data sets of a run."""
    data = {name: fingerprint(stage.data.examples) for name, stage in stages.items()}
    data["evaluation"] = fingerprint(evaluator.examples)
    return {**provenance("zoom_iqa.train", begun_with()), "datasets": data}


def _facts(cfg: DictConfig, stage: Stage, folder: RunFolder, origin: Mapping[str, Any]) -> StageFacts:
    """Facts of a run that the loggers of a stage are told."""
    config: Any = OmegaConf.to_container(cfg)
    sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    return StageFacts(
        folder=folder.logs(stage.name),
        stage=stage.name,
        axis=stage.recipe.axis,
        group="/".join(Path(HydraConfig.get().sweep.dir).parts[-2:]) if sweep else str(cfg.name),
        config=config,
        origin=origin,
    )


def _card(
    cfg: DictConfig, metrics: Mapping[str, StageMetrics], evaluator: Evaluator, config_yaml: str
) -> dict[str, str]:
    return policy_card(
        cfg,
        metrics,
        dataset=f"{len(evaluator.examples):,} of {evaluator.dataset_name}",
        prompt=evaluator.first_prompt(),
        config_yaml=config_yaml,
        adapter=False,
    )


def _check_optimized(name: str | None, stages: Iterable[str]) -> None:
    if name is None:
        return
    stage, _, key = str(name).partition(".")
    if stage not in stages or key not in DECIDING:
        raise ConfigError(
            f"optimized_metric={name}: give one of {', '.join(f'{s}.METRIC' for s in stages)} with METRIC one of "
            f"{', '.join(DECIDING)}, in which unreadable answers count"
        )


def _optimized(name: str | None, metrics: dict[str, StageMetrics]) -> float | None:
    if name is None:
        return None
    stage, _, key = name.partition(".")
    value: Any = metrics[stage].get(key, "no figure of this run")
    if not isinstance(value, int | float):
        raise ConfigError(f"optimized_metric={name} is {value}: there is nothing to optimize")
    return float(value)


def _quiet_libraries() -> None:
    """Hush advice that does not apply: loaders are sized by config, one epoch is the whole stage, bars are ours."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    for message in (
        ".*does not have many workers.*",
        ".*module.s. in eval mode at the start of training.*",
        ".*treespec, LeafSpec.*",
        ".*your dataloader is not resumable.*",  # StageData keeps the place
    ):
        warnings.filterwarnings("ignore", message=message)
