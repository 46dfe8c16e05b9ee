"""The closing tables: of a training run one row per stage, of an evaluation every figure by its full name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoom_iqa.base.printable import printable
from zoom_iqa.evaluation.figure_kinds import of_comparisons

COLUMNS = {
    "PLCC": "plcc",
    "SRCC": "srcc",
    "unique scores": "unique_score_ratio",
    "unique MOS": "unique_mos_ratio",
    "format rate": "format_rate",
    "crop rate": "crop_rate",
    "mean reward": "mean_reward",
    "images": "n",
}

COMPARED = {
    "accuracy": "accuracy",
    "always the commonest": "accuracy_always",
    "flips with the order": "order_flip_rate",
    "mean reward": "mean_reward",
    "questions": "n",
}
CHOSEN = {
    "first image": "first_rate",
    "similar": "similar_rate",
    "readable": "valid_rate",
    "format rate": "format_rate",
}

SHARPNESS = {
    "SRCC": "srcc",
    "SRCC single": "srcc_single",
    "SRCC expected": "srcc_expected",
    "RMSE": "rmse",
    "RMSE expected": "rmse_expected",
    "spread of digits": "expected_spread",
}

SCATTER = {
    "answers an image": "samples_per_image",
    "squared bias": "squared_bias",
    "variance within images": "rating_variance",
    "RMSE of single answers": "rmse_single",
}
"""Of several answers an image: the error that their mean keeps, and the one that it loses."""

FIGURES = {
    "images": "n",
    "images with a readable rating": "n_valid",
    "trajectories per image": "samples_per_image",
    "SRCC": "srcc",
    "SRCC, 95 % bootstrap interval": "srcc_interval",
    "PLCC, raw": "plcc",
    "PLCC, raw, 95 % bootstrap interval": "plcc_interval",
    "PLCC, 4-parameter logistic": "plcc_logistic4",
    "PLCC, isotonic (released code)": "plcc_isotonic",
    "SRCC, isotonic (released code)": "srcc_isotonic",
    "KRCC, tau-b": "krcc",
    "RMSE on 1-5": "rmse",
    "SRCC, unreadable as 3.00": "srcc_midpoint",
    "PLCC, raw, unreadable as 3.00": "plcc_midpoint",
    "pairs in the right order, unreadable as wrong": "pair_accuracy",
    "the same, standard deviation when answered anew": "pair_accuracy_sd",
    "unique-score ratio": "unique_score_ratio",
    "unique-score ratio of the MOS": "unique_mos_ratio",
    "SRCC of single answers, mean": "srcc_single",
    "PLCC of single answers, raw, mean": "plcc_single",
    "RMSE of single answers, mean": "rmse_single",
    "SRCC of expected ratings": "srcc_expected",
    "SRCC of expected ratings, 95 % bootstrap interval": "srcc_expected_interval",
    "PLCC of expected ratings, raw": "plcc_expected",
    "RMSE of expected ratings": "rmse_expected",
    "images with an expected rating": "n_expected",
    "squared bias: MSE of the mean of ever more answers": "squared_bias",
    "variance within images: the rest of a single answer's MSE": "rating_variance",
    "rating spread within an image": "rating_spread",
    "rating spread over an answer's digits": "expected_spread",
    "probability that a digit begins the rating": "digit_mass",
    "ratings off the scale, clipped": "clipped_ratings",
    "their share of readable ratings": "clipped_rating_rate",
    "labels off the scale, clipped": "clipped_labels",
    "their share of images": "clipped_label_rate",
    "valid rate": "valid_rate",
    "format rate": "format_rate",
    "crop rate": "crop_rate",
    "routing warnings": "routing_warning_rate",
    "unreadable, by reason": "failures",
    "routing warnings, by reason": "routing_warnings",
}
PREFERENCES = {
    "pairs": "n_pairs",
    "accuracy, unreadable as wrong": "accuracy",
    "accuracy, 95 % bootstrap interval": "accuracy_interval",
    "accuracy of the commonest label always": "accuracy_always",
    "Reg-Acc: pairs of regression-based methods": "accuracy_regression",
    "Reg-Acc, 95 % bootstrap interval": "accuracy_regression_interval",
    "Gen-Acc: pairs of generation-based methods": "accuracy_generation",
    "Gen-Acc, 95 % bootstrap interval": "accuracy_generation_interval",
    "pairs with readable answers in both orders": "n_both_orders",
    "order bias: answers that flip with the order": "order_flip_rate",
    "order bias, 95 % bootstrap interval": "order_flip_rate_interval",
    "first image, of answers that prefer one": "first_rate",
    "similar, of answers": "similar_rate",
    "similar, of labels": "label_similar_rate",
    "unreadable answers": "unreadable",
}
"""Figures of comparisons."""

VIEWS = {
    "descriptions asked about": "asked",
    "words other than the first view's": "other_words",
    "valid rate": "valid_rate",
    "images with a readable rating": "n",
    "SRCC": "srcc",
    "PLCC, raw": "plcc",
    "SRCC, image minus words": "srcc_gap",
    "SRCC, image minus words, 95 % bootstrap interval": "srcc_gap_interval",
    "PLCC, image minus words": "plcc_gap",
    "PLCC, image minus words, 95 % bootstrap interval": "plcc_gap_interval",
}
"""Figures of a view without the image; its name follows each key."""

LIKENESS = {
    "captions, by kind": "captions",
    "images with a reference": "n_human_text",
    "images with several references": "n_human_texts",
    "words of an answer": "words",
    "ROUGE-1 against one text": "rouge1",
    "ROUGE-1 against the nearest of several references": "rouge1_best",
    "ROUGE-1 of references, each against the nearest other": "rouge1_people",
}

LOOKS = {
    "turns per trajectory": "turns_per_image",
    "looks per trajectory": "looks_per_image",
    "looks that hit the region": "look_hit_rate",
    "looks that would by chance": "look_hit_rate_by_chance",
    "evidence: share of the region covered": "evidence_coverage",
    "evidence: intersection over union": "evidence_iou",
    "evidence: defect named": "defect_accuracy",
    "evidence: family of the defect named": "defect_family_accuracy",
}
"""Shown where one is a number: most images have no known defect, and most tasks ask for no evidence."""

EVIDENCE = {
    "looks": "looks_per_image",
    "looks that hit": "look_hit_rate",
    "by chance": "look_hit_rate_by_chance",
    "region covered": "evidence_coverage",
    "defect named": "defect_accuracy",
}
PLAIN_WIDTH = 200
LEAST_TITLE = 40
"""Columns that a figure's name keeps beside the data sets of a table; longer ones are folded."""


def print_table(metrics: Mapping[str, Mapping[str, Any]], run_dir: Path) -> None:
    """Print the stages' figures and where the run lies."""
    console = Console()
    if any(map(of_comparisons, metrics.values())):
        console.print(_by_stage("held-out pairs, each asked about in both orders", COMPARED, metrics))
        console.print(_by_stage("answers: which image they prefer, and their form", CHOSEN, metrics))
    else:
        console.print(_by_stage("held-out images (raw PLCC and SRCC)", COLUMNS, metrics))
    if any("n_expected" in figures for figures in metrics.values()):
        console.print(_by_stage("answers, and ratings expected over their digits", SHARPNESS, metrics))
    if any("rating_variance" in figures for figures in metrics.values()):
        console.print(_by_stage("errors of single answers: the bias that stays in their mean", SCATTER, metrics))
    if any(isinstance(figures.get("defect_accuracy"), float) for figures in metrics.values()):
        console.print(_by_stage("looks and evidence, where the defect is known", EVIDENCE, metrics))
    _say_why_undefined(console, metrics, COLUMNS | COMPARED | CHOSEN | SHARPNESS | SCATTER)
    for stage, figures in metrics.items():
        if figures.get("clipped_ratings") or figures.get("clipped_labels"):
            _say(console, f"{stage}: {clipped_said(figures)}")
    _say(console, f"run folder: {run_dir}")


def print_figures(metrics: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Print every figure of every data set, the reason for each that is undefined, and where the run lies."""
    titles = titles_of(list(metrics.values()))
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    for names in _side_by_side(metrics, titles, room=console.width - LEAST_TITLE):
        console.print(_every_figure({name: metrics[name] for name in names}, titles))
    if any("srcc" in figures for figures in metrics.values()):
        _say(console, "Unreadable answers are left out of correlations and RMSE where nothing else is said.")
    _say_why_undefined(console, metrics, {title: key for title, key in titles.items() if title not in LOOKS})
    _say(console, f"run folder: {folder}")


def _say_why_undefined(console: Console, metrics: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> None:
    """A line for each reason for which figures of a stage or data set have no value."""
    for name, figures in metrics.items():
        undefined: dict[str, list[str]] = {}
        for title, key in titles.items():
            if isinstance(figures.get(key), str):
                undefined.setdefault(figures[key], []).append(title)
        for why, without in undefined.items():
            _say(console, f"{name}: {why}: {'; '.join(without)}")


def _say(console: Console, line: str) -> None:
    """A line as it is: a name or path may hold what rich reads as markup."""
    console.print(Text(printable(line)), soft_wrap=True)


def _side_by_side(metrics: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], *, room: int) -> list[list[str]]:
    """Data sets in groups of as many as stand beside each other uncut, at least one."""
    groups: list[list[str]] = [[]]
    left = room
    for name, figures in metrics.items():
        width = 3 + max(map(len, [printable(name), *(_shown(figures.get(key)) for key in titles.values())]))
        if groups[-1] and width > left:
            groups.append([])
            left = room
        groups[-1].append(name)
        left -= width
    return groups


def _every_figure(metrics: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> Table:
    table = Table()
    table.add_column("figure", overflow="fold")
    for dataset in metrics:
        table.add_column(Text(printable(dataset)), justify="right", overflow="fold")
    for title, key in titles.items():
        table.add_row(title, *(Text(_shown(figures.get(key))) for figures in metrics.values()))
    return table


def titles_of(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Titles and keys of the figures that one of ``metrics`` has; those of looks and evidence where one is a number."""
    found = FIGURES | PREFERENCES | _views(metrics) | LIKENESS
    there = {title: key for title, key in found.items() if any(figures.get(key) is not None for figures in metrics)}
    numbers = {key for figures in metrics for key, value in figures.items() if isinstance(value, float)}
    return there | {title: key for title, key in LOOKS.items() if key in numbers}


def _views(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Titles and keys of the views that were asked."""
    keys = [key for figures in metrics for key in figures if key.startswith("asked_")]
    names = dict.fromkeys(key.removeprefix("asked_") for key in keys)
    return {f"{name}: {title}": f"{key}_{name}" for name in names for title, key in VIEWS.items()}


def clipped_said(figures: Mapping[str, Any]) -> str:
    """How many ratings and labels lay off the scale, in words; nothing for figures of a version that did not count."""
    kinds = (("ratings", "clipped_rating_rate"), ("labels", "clipped_label_rate"))
    counts = [f"{figures[f'clipped_{kind}']:,} {kind} ({figures[rate]:.1%})" for kind, rate in kinds if rate in figures]
    return f"{' and '.join(counts)} off the scale of 1 to 5, clipped to it" if counts else ""


def expected_said(figures: Mapping[str, Any]) -> str:
    """The agreement of expected ratings beside that of answers, in words; nothing where it was not measured."""
    return f"SRCC of expected ratings {_shown(figures['srcc_expected'])}" if "srcc_expected" in figures else ""


def _by_stage(title: str, columns: Mapping[str, str], metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row a stage; columns that no stage has are left out."""
    table = Table(title=title)
    table.add_column("stage")
    kept = {column: key for column, key in columns.items() if any(key in figures for figures in metrics.values())}
    for column in kept:
        table.add_column(column, justify="right")
    for stage, figures in metrics.items():
        values = [figures.get(key) for key in kept.values()]
        table.add_row(Text(printable(stage)), *("-" if isinstance(value, str) else _shown(value) for value in values))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping) and "low" in value:
        return f"{value['low']:.3f} to {value['high']:.3f}"
    if isinstance(value, Mapping) and "f1" in value:
        return f"P {value['precision']:.3f}, R {value['recall']:.3f}, F1 {value['f1']:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{reason} {count}" for reason, count in value.items() if count) or "none"
    return "-" if value is None else str(value).partition(" (")[0]  # metrics.json says why one is undefined
