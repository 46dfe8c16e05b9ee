"""The body of ``zoom_iqa.judge``: from a command line to grades of systems."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict
from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.printable import printable
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec
from zoom_iqa.config import own_labels
from zoom_iqa.config.asking import composed_for, opened, output_price, servers, settled
from zoom_iqa.config.command_line import overrides_of
from zoom_iqa.config.commands import run_command
from zoom_iqa.config.evaluated_images import split_images
from zoom_iqa.config.go_on import command
from zoom_iqa.config.help import JUDGE_USAGE
from zoom_iqa.curation.estimate import Asked, written_estimate
from zoom_iqa.curation.judge_figures import judge_figures
from zoom_iqa.curation.judge_step import ask_judge, questions_about, require_known
from zoom_iqa.curation.judging import conclusion_of
from zoom_iqa.curation.steps import Asking
from zoom_iqa.data.subset import FixedSubset
from zoom_iqa.engines.speaker import Speaker
from zoom_iqa.reports.numbers import grade_cell
from zoom_iqa.tasks.grades import CRITERIA, JUDGE
from zoom_iqa.tasks.task import require_one_image

READ_HERE = (
    *own_labels.KEYS,
    "predictions",
    "out",
    "split",
    "limit",
    "repeats",
    "controls",
    "n_resamples",
    "batch_size",
    "dry_run",
    "seed",
    "max_pixels",
    "upright",
    "size",
    "machine",
)
IDENTITY = ("benchmark", "split", "sampling", "prompt", "seed", "max_pixels", "upright", "predictions")
"""Keys of a config that decide what is asked; limits, repeats and budgets may be changed in a folder."""
HEADS = ("accuracy", "reason-\nableness", "complete-\nness", "confidence")
"""Of ``CRITERIA``, so that a table fits eighty columns."""
LEAST = {"repeats": 1, "n_resamples": 1, "batch_size": 1, "seed": 0}


def run() -> None:
    """The command, when its help was not asked for: errors made on purpose end in one line and status 2."""
    go_on = command("zoom_iqa.judge", sys.argv[1:])
    run_command(_command, go_on=lambda: go_on)


def compose_config(arguments: Sequence[str]) -> DictConfig:
    """The config of a command line; files of predictions stand in it under the names of their systems.

    Raises:
        ConfigError: an argument is wrong, or two files have one name.
    """
    files: dict[str, str] = {}
    rest = []
    for argument in arguments:
        name, file = _named(argument)
        if name == "predictions" and argument.startswith("predictions="):
            raise ConfigError(f"{argument}: predictions are given as [NAME=]FILE.jsonl, each under its system's name")
        if not argument.endswith(".jsonl") or name.lstrip("+~").partition(".")[0] in (*READ_HERE, *IDENTITY):
            rest.append(argument)
            continue
        if name in files:
            raise ConfigError(f"{argument}: {name} is named twice; give names, as NAME={file}")
        files[name] = file
    try:
        cfg = composed_for("judge", overrides_of(rest), speaker="judge")
    except (ConfigError, HydraException):
        for argument in rest:
            _refuse_other_files(argument)
        raise
    with open_dict(cfg):
        cfg.predictions = files
    return cfg


def _refuse_other_files(argument: str) -> None:
    """Say what predictions are where an argument that was taken for a key is a folder or another file."""
    place = Path(argument if Path(argument).exists() else _named(argument)[1])
    if place.suffix == ".jsonl" or not place.exists():
        return
    found = sorted(str(path.relative_to(place)) for path in place.rglob("predictions.jsonl")) if place.is_dir() else []
    there = f"; {place} holds {', '.join(found)}" if found else ""
    raise ConfigError(f"{argument}: predictions are given as [NAME=]FILE.jsonl{there}")


def _named(argument: str) -> tuple[str, str]:
    """NAME=FILE; a file alone has the name of its folder, whatever signs are in its path."""
    name, equals, file = argument.partition("=")
    if not equals or Path(argument).is_file():
        return Path(argument).resolve().parent.name, argument
    return name, file


def judge(cfg: DictConfig) -> dict[str, Any] | None:
    """Ask what is still missing; the figures of every system, which lie in ``judged.json`` too.

    None for a dry run, which prints how much would be asked.

    Raises:
        ConfigError: a value is wrong, or the folder holds other judgements.
        DataError: predictions cannot be read, or are about other images.
        BudgetError: what may be spent is spent; the same command goes on.
        ServerError: the server answers no request.
    """
    kept = settled(cfg, read=READ_HERE, deciding=IDENTITY, least=LEAST, flags=("controls", "dry_run", "upright"))
    if not cfg.predictions:
        raise ConfigError(f"no predictions are given; usage: {JUDGE_USAGE}")
    speaker: Speaker = instantiate(cfg.judge)
    prompt = instantiate(cfg.prompt)
    benchmark = instantiate(cfg.benchmark)
    images = split_images(benchmark, cfg.split, cfg)
    chosen = {item.key for item in FixedSubset(dataset=images, limit=cfg.limit).items()}
    everything = {item.key for item in images.items()}
    systems = {name: _records(Path(file)) for name, file in cfg.predictions.items()}
    asked = {
        name: [one for one in records if (key := one.image_key) in chosen or key not in everything]
        for name, records in systems.items()
    }
    answered = [one.example for records in asked.values() for one in records]
    require_one_image(answered, who="the judge sees")
    require_known((one.key for one in answered), everything)
    questions = questions_about(asked, prompt=prompt, repeats=cfg.repeats, controls=cfg.controls, seed=cfg.seed)
    if cfg.dry_run:
        count, price = len(questions), output_price(cfg.judge)
        row = Asked(step=JUDGE, least=count, most=count, output_price=price)
        print(written_estimate([row], servers=servers(cfg.judge), max_new_tokens=cfg.max_new_tokens), end="")
        return None
    folder = Path(cfg.out)
    with (
        opened(cfg.out, kept, judge=speaker.identity),
        speaker.opened(folder, name=JUDGE, sampling=instantiate(cfg.sampling)) as speaking,
    ):
        asking = Asking(
            dataset=images,
            engines={JUDGE: speaking.engine},
            batch_size=cfg.batch_size,
            seed=cfg.seed,
            unanswered={},
            cost=speaking.cost,
        )
        judgements = ask_judge(folder / "judgements.jsonl", asking, questions, prompt=prompt)
        by_system = judge_figures(judgements, n_resamples=cfg.n_resamples, seed=cfg.seed)
        for name, found in by_system.items():
            found["without_text"] = sum(one.sample == 0 and not conclusion_of(one) for one in asked[name])
        figures = {
            "judge": speaker.identity,
            "judge_name": cfg.judge.get("model") or cfg.judge.path,
            "benchmark": benchmark.name,
            "unanswered": asking.unanswered.get(JUDGE, 0),
            "cost": dict(speaking.cost()),
            "systems": by_system,
        }
        with whole_text_file(folder / "judged.json") as file:
            json.dump(figures, file, indent=2, allow_nan=False)
    return figures


def _command() -> None:
    transformers.utils.logging.disable_progress_bar()
    figures = judge(compose_config(sys.argv[1:]))
    if figures is None:
        return
    table = _table("images", *HEADS, "failures", title="grades, 1 to 9")
    controls = _table("control", *HEADS, title="how much lower controls are graded")
    for system, found in figures["systems"].items():
        grades = [grade_cell(found["criteria"][name]["mean"]) for name in CRITERIA]
        table.add_row(Text(printable(system)), str(found["images"]), *grades, str(sum(found["failures"].values())))
        for control, drops in found["controls"].items():
            controls.add_row(
                Text(printable(system)), control, *(grade_cell(drops[name]["lower_by"]) for name in CRITERIA)
            )
    console = Console()
    console.print(table)
    console.print(controls)
    if figures["unanswered"]:
        print(f"{figures['unanswered']} questions got no usable answer; the same command asks them again")


def _table(*heads: str, title: str) -> Table:
    """A table whose first column, the system's name, gives way where the terminal is narrow."""
    table = Table(title=title)
    table.add_column("system", overflow="fold")
    for head in heads:
        table.add_column(head, no_wrap=True)
    return table


def _records(path: Path) -> tuple[Record, ...]:
    if not path.is_file():
        raise DataError(f"{path} is not a file; name the predictions.jsonl of a run or an evaluation")
    return RecordFile(path, RecordCodec()).read()
