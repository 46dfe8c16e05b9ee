"""The paper's Table 3: what each part of the method adds, from runs, over seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.run_folder import FAILURE
from zoom_iqa.evaluation.table import clipped_said
from zoom_iqa.reports.published import DATASETS, PAPER, published_diversity, published_rows
from zoom_iqa.reports.rendering import MEASURED, TextTable, mean_and_spread
from zoom_iqa.reports.runs import FinishedRun, read_run

PARTS = {
    "sft": "SFT",
    "score_reward": "score reward",
    "rank_reward": "rank reward",
    "kl_coverage": "KL-Coverage",
    "progressive": "re-sampling",
}
"""The parts of the method that the paper's rows turn on and off, by their columns in table3.csv."""
EXPERIMENTS = (
    "table3_sft",
    "table3_rank",
    "table3_score",
    "table3_score_rank",
    "table3_kl_coverage",
    "table3_progressive",
)
"""The experiments of conf/experiment, in the order of the paper's rows."""
TICK = "✓"
PUBLISHED = f"published, {PAPER}"
COLUMNS = {
    "PLCC (raw)": "plcc",
    "SRCC": "srcc",
    "SRCC of expected ratings": "srcc_expected",
    "unique-score ratio": "unique_score_ratio",
    "format rate": "format_rate",
    "crop rate": "crop_rate",
}
VARYING = ("seed", "paths", "machine")
"""Config keys, at any depth, in which the runs of one row may differ."""

MADE_BY = ("policy", "task", "sft")
"""Config keys of an SFT that its policy follows from; the rest is of other stages or of its evaluation."""


def read_multirun(folder: Path) -> tuple[list[FinishedRun], list[str]]:
    """The training runs below a folder that have ended, and a line for each that has not.

    A run that goes on from the policy of another one there, as experiments/ablation's do from one SFT a seed, has the
    stages of both.

    Raises:
        DataError: none has ended.
    """
    runs: list[FinishedRun] = []
    open_runs: list[str] = []
    places = {path.parent for path in folder.rglob("*") if path.name in ("config.yaml", FAILURE)}
    for place in sorted(place for place in places if places.isdisjoint(place.parents)):  # loggers keep such files too
        name = str(place.relative_to(folder))
        if (place / FAILURE).exists():
            open_runs.append(f"{name} has failed")
            continue
        if not (place / "metrics.json").is_file():
            open_runs.append(f"{name} has no figures yet")
            continue
        run = read_run(place)
        if not run.trained:
            continue
        if run.last_stage not in run.metrics:
            open_runs.append(f"{name} has not reached the end of its stage {run.last_stage}")
            continue
        runs.append(run)
    if not runs:
        raise DataError(
            f"{folder}: no training run has ended below it; give the folder that holds those of an ablation", open_runs
        )
    by_policy = {
        (*run.path.relative_to(folder).parts, "policy"): run for run in runs if run.config["stages"] == ["sft"]
    }
    return [run if "sft" in run.config["stages"] else _with_sft(run, by_policy) for run in runs], open_runs


def _with_sft(run: FinishedRun, by_policy: Mapping[tuple[str, ...], FinishedRun]) -> FinishedRun:
    """A run of GRPO as one of both stages, where it goes on from the policy of an SFT among ``by_policy``."""
    sft = _maker(Path(str(run.config["policy"]["path"])), by_policy)
    if sft is None:
        return run
    policy = {**run.config["policy"], "path": sft.config["policy"]["path"]}
    made = {key: sft.config[key] for key in MADE_BY if key in sft.config}
    return replace(run, config={**run.config, "policy": policy, "stages": ["sft", *run.config["stages"]], "from": made})


def _maker(policy: Path, by_policy: Mapping[tuple[str, ...], FinishedRun]) -> FinishedRun | None:
    """The run that made a policy; where that is gone, the one whose policy's path has the most last parts in common."""
    tails = (policy.parts[-n:] for n in range(len(policy.parts), 1, -1))
    found = next((by_policy[tail] for tail in tails if tail in by_policy), None)
    elsewhere = found is not None and policy.exists() and policy.resolve() != (found.path / "policy").resolve()
    return None if elsewhere else found


def ablation_table(runs: Sequence[FinishedRun], open_runs: Sequence[str]) -> TextTable:
    """A row for each of the paper's and each further experiment name: the parts that are on, mean and standard
    deviation over seeds after the last stage, and the paper's own figures.

    Raises:
        DataError: runs of one name differ in more than their seed, or share it.
    """
    by_name: dict[str, list[FinishedRun]] = {}
    for run in runs:
        by_name.setdefault(str(run.config["name"]), []).append(run)
    notes = [f"not in the table: {line}" for line in open_runs]
    rows = []
    for experiment, published in zip(EXPERIMENTS, published_rows("table3"), strict=True):
        on = {part for part in PARTS if published.columns[part] == "yes"}
        group = by_name.pop(experiment, [])
        if group and parts_of(group[0].config) != on:
            why = "" if "sft" in parts_of(group[0].config) else ": the SFT that it goes on from is not among these runs"
            notes.append(f"{experiment} was run with other parts than the paper's row {published.columns['row']}{why}")
            by_name[experiment] = group
            group = []
        figures = [" / ".join(pair) for pair in published.figures.values()]
        rows.append(_row(published.columns["row"], experiment, on, group, figures))
    nothing = [""] * len(DATASETS)
    for name, group in sorted(by_name.items()):
        rows.append(_row("", name, parts_of(group[0].config), group, nothing))
    notes += [
        f"{run.config['name']}, seed {run.config['seed']}: {dataset}: {said}"
        for run in runs
        for dataset, figures in run.rated.items()
        if figures.get("clipped_ratings") or figures.get("clipped_labels")
        if (said := clipped_said(figures))
    ]
    diversity = list(COLUMNS.values()).index("unique_score_ratio")
    for method, ratio in published_diversity().items():
        ours = ["" if place != diversity else ratio for place in range(len(COLUMNS))]
        rows.append(["", *[""] * len(PARTS), method, PUBLISHED, "", "", *ours, *nothing])
    datasets = sorted({dataset for run in runs for dataset in run.rated})
    return TextTable(
        title=f"Ablation on {', '.join(datasets)}: mean ± standard deviation over seeds",
        header=[
            *("row", *PARTS.values(), "experiment", "origin", "seeds", "images", *COLUMNS),
            *(f"paper's {title}" for title in DATASETS.values()),
        ],
        names=5 + len(PARTS),
        rows=rows,
        notes=[
            "One seed has no deviation; figures undefined in a run are left out of its row and counted.",
            f"Columns that begin with paper's are PLCC / SRCC of {PAPER}, Table 3, which does not say whether its PLCC "
            "is fitted.",
            *notes,
        ],
    )


def parts_of(config: Mapping[str, Any]) -> set[str]:
    """The parts of the method that a run's config turns on; those of a GRPO stage only where there is one."""
    on = {"sft"} & set(config["stages"])
    if "grpo" in config["stages"]:
        on |= {f"{term}_reward" for term in ("score", "rank") if _counts(config["reward"].get(term), "weight")}
        on |= {"kl_coverage"} if _counts(config["penalties"].get("kl_coverage"), "beta") else set()
        on |= {"progressive"} if len(config["resampling"]["exponents"]) > 1 else set()
    return on


def _counts(part: Mapping[str, Any] | None, weight: str) -> bool:
    """Whether a part of a config is there, with a weight other than 0; a schedule is one."""
    return part is not None and part.get(weight) != 0


def _row(number: str, name: str, on: Collection[str], group: list[FinishedRun], published: Sequence[str]) -> list[str]:
    group = sorted(group, key=lambda run: int(run.config["seed"]))
    ticks = [TICK if part in on else "" for part in PARTS]
    if not group:
        return [number, *ticks, name, PUBLISHED, "", "", *[""] * len(COLUMNS), *published]
    _check_group(name, group)
    figures = [one for run in group for one in run.rated.values()]
    seeds = ", ".join(str(run.config["seed"]) for run in group)
    images = ", ".join(str(count) for count in sorted({one["n"] for one in figures}))
    cells = [_cell([one[key] for one in figures if key in one]) for key in COLUMNS.values()]
    return [number, *ticks, name, MEASURED, seeds, images, *cells, *published]


def _cell(values: Sequence[Any]) -> str:
    numbers = [value for value in values if isinstance(value, float)]
    undefined = len(values) - len(numbers)
    said = f" ({undefined} undefined)" if undefined else ""
    if not numbers:
        return "undefined" if values else ""  # a version that did not measure it
    return f"{mean_and_spread(numbers)}{said}"


def _check_group(name: str, group: Sequence[FinishedRun]) -> None:
    seeds = [run.config["seed"] for run in group]
    if len(set(seeds)) < len(seeds):
        listed = [f"{run.path}: seed {run.config['seed']}" for run in group]
        raise DataError(f"{name}: runs share a seed; move those that do not count elsewhere", listed)
    first = leaves(group[0].config)
    for run in group[1:]:
        other = leaves(run.config)
        differing = sorted(key for key in first.keys() | other.keys() if first.get(key) != other.get(key))
        if differing:
            listed = [f"{key[1:]}: {first.get(key)} and {other.get(key)}" for key in differing]
            raise DataError(f"{name}: runs differ in more than their seed, so they make no mean ({run.path})", listed)


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Every value of a config by its path, without those in which runs of a row may differ."""
    if isinstance(node, dict):
        children = [(str(key), value) for key, value in node.items() if key not in VARYING]
    elif isinstance(node, list):
        children = [(str(index), value) for index, value in enumerate(node)]
    else:
        return {path: node}
    return {key: value for name, child in children for key, value in leaves(child, f"{path}.{name}").items()}
