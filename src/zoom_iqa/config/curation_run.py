"""The body of ``zoom_iqa.curate``: from a command line to data for SFT and its card."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import transformers
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config import own_labels
from zoom_iqa.config.asking import composed_for, opened, output_price, servers, settled
from zoom_iqa.config.command_line import overrides_of
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.evaluated_images import evaluated_images
from zoom_iqa.config.go_on import command
from zoom_iqa.curation.agreement import ModelRater
from zoom_iqa.curation.estimate import asked_by, written_estimate
from zoom_iqa.curation.pipeline import Curated, Pipeline
from zoom_iqa.curation.steps import GENERATOR, RATER, Asking
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.engines.speaker import Speaker, Speaking
from zoom_iqa.reports.curation_page import curation_page
from zoom_iqa.tasks.task import check_examples
from zoom_iqa.tasks.zoom import ZoomTask

READ_HERE = (
    *own_labels.KEYS,
    "name",
    "out",
    "split",
    "limit",
    "attempts",
    "batch_size",
    "seed",
    "max_pixels",
    "upright",
    "dry_run",
    "examples",
    "size",
    "machine",
    "vrf",
    "hacf",
    "filters",
    "prompts",
    "rater",
)
IDENTITY = ("benchmark", "split", "task", "prompts", "sampling", "questions", "seed", "max_pixels", "upright")
"""Keys of a config that decide what is asked; filters, limits and budgets may be changed in a folder."""
LEAST = {"attempts": 1, "batch_size": 1, "examples": 0, "seed": 0}


def run() -> None:
    """The command, when its help was not asked for: errors made on purpose end in one line and status 2."""
    go_on = command("zoom_iqa.curate", sys.argv[1:])
    run_command(_command, go_on=lambda: go_on)


def compose_config(arguments: Sequence[str]) -> DictConfig:
    """The config of a command line; with a server it has a large policy's prompts and lengths unless they are given.

    Raises:
        ConfigError: an argument is wrong.
    """
    return composed_for("curate", overrides_of(arguments), speaker=None)


def curate(cfg: DictConfig) -> Curated | None:
    """Run the pipeline of ``cfg``; None for a dry run, which prints what would be asked.

    Raises:
        ConfigError: a value is wrong, or the folder holds answers to other questions.
        DataError: labels are unusable or images missing.
        BudgetError: what may be spent is spent; the same command goes on.
        ServerError: the server answers no request.
    """
    kept = settled(cfg, read=READ_HERE, deciding=IDENTITY, least=LEAST, flags=("dry_run", "upright"))
    if cfg.split is None:
        raise ConfigError("split=null: name the images to curate, such as split=train")
    generator: Speaker = instantiate(cfg.generator)
    rater: Speaker = instantiate(cfg.rater) if cfg.get("rater") else generator
    benchmark = instantiate(cfg.benchmark)
    dataset = evaluated_images(benchmark, cfg)
    task = instantiate(cfg.task)
    if not isinstance(task, ZoomTask):
        raise ConfigError("task must be zoom or zoom_released: the questions of VRF are about their answers")
    check_examples(task, dataset.items())
    pipeline = Pipeline(
        task=task,
        prompts=instantiate(cfg.prompts),
        attempts=cfg.attempts,
        vrf=instantiate(cfg.vrf) if cfg.vrf else None,
        vrf_prompts=instantiate(cfg.questions),
        hacf=instantiate(cfg.hacf) if cfg.hacf else None,
        filters={name: instantiate(one) for name, one in _filters(cfg).items()},
    )
    if cfg.dry_run:
        price = output_price(cfg.generator)
        rater_price = output_price(cfg.rater) if cfg.get("rater") else price
        rows = asked_by(pipeline, images=len(dataset), generator_price=price, rater_price=rater_price)
        asked = servers(cfg.generator, cfg.get("rater"))
        print(written_estimate(rows, servers=asked, max_new_tokens=cfg.max_new_tokens), end="")
        return None
    folder = Path(cfg.out)
    about = {"generator": generator.identity, "rater": rater.identity}
    with opened(cfg.out, kept, **about), ExitStack() as stack:
        sampling = instantiate(cfg.sampling)
        speaking = {GENERATOR: stack.enter_context(generator.opened(folder, name="generator", sampling=sampling))}
        speaking[RATER] = (
            speaking[GENERATOR]
            if rater is generator
            else stack.enter_context(rater.opened(folder, name="rater", sampling=sampling))
        )
        asking = Asking(
            dataset=dataset,
            engines=_engines(speaking),
            batch_size=cfg.batch_size,
            seed=cfg.seed,
            unanswered={},
            cost=lambda: {name: value for one in speaking.values() for name, value in one.cost().items()},
        )
        curated = pipeline.run(folder, asking, split=cfg.split, about=_about(cfg, pipeline, dataset, **about))
        with whole_text_file(folder / "card.html") as file:
            file.write(curation_page(curated, dataset=dataset, examples=cfg.examples))
        return curated


def _about(cfg: DictConfig, pipeline: Pipeline, dataset: ImageDataset, *, generator: str, rater: str) -> dict[str, str]:
    """Lines of the data card: of which images the data are, who made them, and by which rules they were filtered."""
    published = ", ".join(dict.fromkeys(one.name for item in dataset.items() for one in item.indicators))
    hints = f"{published} as published, others measured" if published else "measured"
    rated = {"rater": rater, "hints": hints} if isinstance(pipeline.hacf, ModelRater) else {}
    return {
        "pipeline": cfg.name,
        "benchmark": f"{cfg.benchmark.name}, split {cfg.split}, seed {cfg.seed}",
        "generator": generator,
        **rated,
        "vrf": _rule(cfg.vrf),
        "hacf": _rule(cfg.hacf),
        **{f"filters.{name}": _rule(one) for name, one in _filters(cfg).items()},
    }


def _filters(cfg: DictConfig) -> dict[str, DictConfig]:
    """The configs of the user's own filters by name; null leaves one out.

    Raises:
        ConfigError: they have no names, or one names no class.
    """
    given = cfg.filters or {}
    if not isinstance(given, Mapping) or "_target_" in given:
        raise ConfigError("filters: a filter has a name, which it is counted under; give it as filters.NAME")
    found = {str(name): one for name, one in given.items() if one is not None}
    for name, one in found.items():
        if not isinstance(one, DictConfig) or "_target_" not in one:
            raise ConfigError(f"filters.{name} names no class; give it a _target_ with a reason_of(record)")
    return found


def _rule(filter_: DictConfig | None) -> str:
    """A filter's class and values, but for its prompt."""
    if not filter_:
        return "none"
    plain: Any = OmegaConf.to_container(filter_)
    values = [f"{key}={value}" for key, value in plain.items() if key not in ("_target_", "prompt")]
    return " ".join([plain["_target_"].rpartition(".")[2], *values])


def _engines(speaking: dict[str, Speaking]) -> dict[str, Any]:
    return {name: one.engine for name, one in speaking.items()}


def _command() -> None:
    transformers.utils.logging.disable_progress_bar()
    curated = curate(compose_config(sys.argv[1:]))
    if curated is None:
        return
    card = curated.card
    refused = ", ".join(f"{step} {sum(reasons.values())}" for step, reasons in card["refused"].items()) or "none"
    print(f"{card['images']} images, {card['kept']} trajectories kept; refused: {refused}")
    waiting = sum(card["unanswered"].values())
    if waiting:
        print(f"{waiting} questions got no usable answer; the same command asks them again")
    print(f"{curated.sft}\n{curated.sft.with_name('card.md')}")
