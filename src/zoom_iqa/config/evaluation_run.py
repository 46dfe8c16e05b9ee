"""The body of ``zoom_iqa.evaluate``: from a command line to figures by data set, in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import transformers
from hydra.utils import instantiate
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.provenance import provenance
from zoom_iqa.base.run_folder import Metrics, RunFolder
from zoom_iqa.config import own_labels
from zoom_iqa.config.announcement import announce_evaluation, described, not_learned
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.command_line import (
    overrides_of,
    require_benchmarks,
    require_different,
    with_benchmarks,
    with_policy,
    with_views,
)
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.composition import composed
from zoom_iqa.config.evaluated_images import evaluated_images
from zoom_iqa.config.go_on import command
from zoom_iqa.config.help import EVALUATE_USAGE
from zoom_iqa.config.kept_config import kept_config, run_folder
from zoom_iqa.config.machine import OF_EVALUATIONS, REQUIRED, SHARE_S, check_machine
from zoom_iqa.data.fingerprint import fingerprint
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.evaluation.figures import answers_csv, figures_of
from zoom_iqa.evaluation.table import print_figures
from zoom_iqa.parallel.processes import rank, wait_for_all
from zoom_iqa.policy.folder import fingerprint_of_files
from zoom_iqa.policy.policy import Policy
from zoom_iqa.reports.overview import write_overview
from zoom_iqa.training.fabric import fabric_of, launch

READ_HERE = (
    "benchmarks",
    *own_labels.KEYS,
    "split",
    "limit",
    "views",
    "references",
    "probe",
    "max_pixels",
    "upright",
    "machine",
    "size",
    "paths.runs",
    "paths.run_dir",
)


def run() -> None:
    """The command, when its help was not asked for: errors made on purpose end in one line and status 2."""
    go_on = command("zoom_iqa.evaluate", sys.argv[1:])  # the same goes on where it was stopped
    run_command(_command, go_on=lambda: go_on)


def compose_config(arguments: Sequence[str]) -> DictConfig:
    """The config of a command line.

    Raises:
        ConfigError: an argument is wrong.
    """
    overrides = with_policy("evaluate", with_views(with_benchmarks(overrides_of(arguments))))
    return composed("evaluate", overrides)


def evaluate(cfg: DictConfig) -> tuple[Metrics, Path]:
    """Predict and score every benchmark of ``cfg``; returns the figures by data set and the run's folder.

    Labels, files and settings are looked at before there is a policy.

    Raises:
        ConfigError: a value is wrong, or the folder holds an evaluation of another config.
        DataError: labels are unusable or images missing.
    """
    own_labels.check(cfg)
    check_machine(cfg.machine, required=REQUIRED | OF_EVALUATIONS)
    check_config(cfg)
    check_read(cfg, read=READ_HERE)
    require_benchmarks(cfg, EVALUATE_USAGE)
    config_yaml = kept_config(cfg, policy_files=fingerprint_of_files(Path(cfg.policy.path)))
    OmegaConf.resolve(cfg)
    evaluators = _evaluators(cfg)
    folder = RunFolder(run_folder(cfg, name=_policy_name(cfg.policy.path), config_yaml=config_yaml))
    fabric = _fabric(cfg.machine)
    if fabric.node_rank == 0 and fabric.local_rank == 0:
        folder.check(config_yaml)
        own_labels.say_what_is_assumed(cfg)
    launch(fabric, arguments=sys.argv[1:], silent_after_s=cfg.machine.silent_after_s)
    policy: Policy = instantiate(cfg.policy)
    policy.model.to(fabric.device)
    with folder.opened(config_yaml) if rank() == 0 else nullcontext():
        if rank() == 0:
            images = {name: len(evaluator.dataset) for name, evaluator in evaluators.items()}
            who = {"policy": described(policy, cfg.policy.path), **not_learned(cfg)}
            announce_evaluation(folder.path, who, images)
            data = {name: fingerprint(evaluator.examples) for name, evaluator in evaluators.items()}
            folder.write_origin({**provenance("zoom_iqa.evaluate", sys.argv[1:]), "datasets": data})
        wait_for_all()
        metrics = folder.metrics_with_answers()  # of an earlier call with this config
        for name, evaluator in evaluators.items():
            place = folder.path / name
            predictions = evaluator.run(policy, path=folder.dataset_predictions(name), title=f"evaluate {name}")
            metrics[name] = figures_of(predictions, None)
            if rank() == 0:
                with whole_text_file(place / "scores.csv") as file:
                    file.write(answers_csv(predictions))
                folder.write_metrics(metrics)
                write_overview(folder.path)
        wait_for_all()
    return metrics, folder.path


def _command() -> None:
    transformers.utils.logging.disable_progress_bar()
    metrics, folder = evaluate(compose_config(sys.argv[1:]))
    if rank() == 0:
        print_figures(metrics, folder)


def _evaluators(cfg: DictConfig) -> dict[str, Evaluator]:
    """One evaluator for each data set, by the data set's own name."""
    images = {
        name: evaluated_images(instantiate(node), cfg, references=cfg.references)
        for name, node in cfg.benchmarks.items()
    }
    datasets = {name: one.items()[0].dataset for name, one in images.items()}
    require_different(datasets)
    return {datasets[name]: instantiate(cfg.evaluator)(dataset=one) for name, one in images.items()}


def _policy_name(path: str) -> str:
    return "-".join(part for part in Path(path).parts[-2:] if part != os.sep)


def _fabric(machine: DictConfig) -> L.Fabric:
    """The Fabric that joins the processes asked for, or those that torchrun has started.

    Raises:
        ConfigError: this machine does not have what is asked for.
    """
    settings: dict[str, Any] = {key: machine[key] for key in ("accelerator", "devices", "num_nodes")}
    if TorchElasticEnvironment.detect():
        settings["devices"] = int(os.environ["LOCAL_WORLD_SIZE"])
        settings["num_nodes"] = int(os.environ["WORLD_SIZE"]) // settings["devices"]
    return fabric_of(settings, where="machine", patience_s=SHARE_S)
