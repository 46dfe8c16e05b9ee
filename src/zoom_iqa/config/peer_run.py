"""The body of ``zoom_iqa.evaluate_peer``: from a command line to figures by data set, in a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.provenance import provenance
from zoom_iqa.base.run_folder import Metrics, RunFolder
from zoom_iqa.config import own_labels
from zoom_iqa.config.announcement import announce_evaluation
from zoom_iqa.config.checks import check_config, check_read
from zoom_iqa.config.command_line import overrides_of, require_benchmarks, require_different, with_benchmarks
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.composition import composed
from zoom_iqa.config.evaluated_images import evaluated_images, split_images
from zoom_iqa.config.go_on import command
from zoom_iqa.config.help import EVALUATE_PEER_USAGE
from zoom_iqa.config.kept_config import kept_config, run_folder
from zoom_iqa.config.machine import check_machine
from zoom_iqa.data.datasets import ImageBenchmark, ImageDataset
from zoom_iqa.data.fingerprint import fingerprint
from zoom_iqa.data.validation import validate_items
from zoom_iqa.evaluation.figures import ratings_csv
from zoom_iqa.evaluation.table import print_figures
from zoom_iqa.peers.peer import LearningPeer, Peer
from zoom_iqa.peers.predictions import peer_figures, predict_all
from zoom_iqa.policy.folder import fingerprint_of_files
from zoom_iqa.reports.overview import write_overview
from zoom_iqa.tasks.task import require_one_image

READ_HERE = (
    "benchmarks",
    *own_labels.KEYS,
    "split",
    "learn_split",
    "limit",
    "max_pixels",
    "upright",
    "machine",
    "paths.runs",
    "paths.run_dir",
)


def run() -> None:
    """The command, when its help was not asked for: errors made on purpose end in one line and status 2."""
    go_on = command("zoom_iqa.evaluate_peer", sys.argv[1:])  # the same goes on where it was stopped
    run_command(_command, go_on=lambda: go_on)


def compose_config(arguments: Sequence[str]) -> DictConfig:
    """The config of a command line.

    Raises:
        ConfigError: an argument is wrong.
    """
    return composed("evaluate_peer", with_benchmarks(overrides_of(arguments)))


def evaluate_peer(cfg: DictConfig) -> tuple[Metrics, Path]:
    """Score every benchmark of ``cfg`` with its peer; returns the figures by data set and the run's folder.

    Raises:
        ConfigError: a value is wrong, the peer's packages are not installed, it would learn from images it is judged
            on, or the folder holds an evaluation of another config.
        DataError: labels are unusable or images missing.
        ImageError: an image cannot be read.
    """
    own_labels.check(cfg)
    check_machine(cfg.machine)
    check_config(cfg)
    check_read(cfg, read=READ_HERE)
    require_benchmarks(cfg, EVALUATE_PEER_USAGE)
    path = OmegaConf.select(cfg, "peer.backbone.policy.path")
    facts = {} if path is None else {"policy_files": fingerprint_of_files(Path(path))}
    config_yaml = kept_config(cfg, **facts)
    OmegaConf.resolve(cfg)
    peer: Peer = instantiate(cfg.peer)
    benchmarks = {str(name): instantiate(node) for name, node in cfg.benchmarks.items()}
    evaluated = {name: _evaluated(data, cfg) for name, data in benchmarks.items()}
    require_different({name: images.items()[0].dataset for name, images in evaluated.items()})
    for images in evaluated.values():
        require_one_image(images.items(), who="a peer rates")
    learned_from = {
        name: _learned_from(name, data, evaluated[name], cfg) if isinstance(peer, LearningPeer) else None
        for name, data in benchmarks.items()
    }
    peer_name = str(cfg.peer._target_).rpartition(".")[2]
    folder = RunFolder(run_folder(cfg, name=peer_name, config_yaml=config_yaml))
    own_labels.say_what_is_assumed(cfg)
    with folder.opened(config_yaml):
        announce_evaluation(folder.path, {"peer": peer_name}, {name: len(data) for name, data in evaluated.items()})
        data = {images.items()[0].dataset: fingerprint(images.items()) for images in evaluated.values()}
        folder.write_origin({**provenance("zoom_iqa.evaluate_peer", sys.argv[1:]), "datasets": data})
        metrics = folder.metrics_with_answers()  # of an earlier call with this config
        for name, images in evaluated.items():
            training = learned_from[name]
            if isinstance(peer, LearningPeer) and training is not None:
                peer.fit(training)
            dataset = images.items()[0].dataset
            place = folder.path / dataset
            predictions = predict_all(peer, images, path=folder.dataset_predictions(dataset), title=f"evaluate {name}")
            metrics[dataset] = peer_figures(peer, predictions)
            with whole_text_file(place / "scores.csv") as file:
                file.write(ratings_csv(predictions))
            folder.write_metrics(metrics)
            write_overview(folder.path)
    return metrics, folder.path


def _command() -> None:
    torch.set_num_threads(1)  # an image at a time gains nothing from more
    cv2.setNumThreads(1)
    print_figures(*evaluate_peer(compose_config(sys.argv[1:])))


def _evaluated(benchmark: ImageBenchmark, cfg: DictConfig) -> ImageDataset:
    images = evaluated_images(benchmark, cfg)
    validate_items(images.items())
    return images


def _learned_from(name: str, benchmark: ImageBenchmark, evaluated: ImageDataset, cfg: DictConfig) -> ImageDataset:
    """The images a peer learns from, none of which it is judged on."""
    training = split_images(benchmark, cfg.learn_split, cfg)
    validate_items(training.items())
    judged = {item.id for item in evaluated.items()}
    shared = sum(item.id in judged for item in training.items())
    if shared:
        raise ConfigError(
            f"benchmark={name}: {shared} of {len(judged)} evaluated images are in learn_split={cfg.learn_split}; "
            "evaluate another split (split=test)"
        )
    return training
