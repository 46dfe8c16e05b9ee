"""Figures of judgements: grades with intervals, spread over repeats, failures, and controls.

Images are the units: an image's grade is the mean over its repeats, and intervals draw images.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoom_iqa.curation.judging import CONTROLS, Control, Judgement
from zoom_iqa.metrics.intervals import mean_interval
from zoom_iqa.tasks.grades import CRITERIA

Key = tuple[str, str]
Figures = dict[str, Any]


def judge_figures(judgements: Sequence[Judgement], *, n_resamples: int, seed: int) -> dict[str, Figures]:
    """By system: every criterion's mean with its interval and spread, answers and those of them without grades by
    reason, and the same of each control with how much lower it is.
    """
    found: dict[str, Figures] = {}
    for system in dict.fromkeys(one.system for one in judgements):
        of_system = [one for one in judgements if one.system == system]
        own = [one for one in of_system if one.control is None]
        grades = grades_by_image(own)
        found[system] = {
            "images": len(grades),
            "answers": len(own),
            "failures": _failures(own),
            "criteria": {
                name: _criterion({key: given[name] for key, given in grades.items()}, n_resamples, seed)
                for name in CRITERIA
            },
            "controls": {name: _control(of_system, grades, name, n_resamples, seed) for name in CONTROLS},
        }
    return found


def grades_by_image(judgements: Iterable[Judgement]) -> dict[Key, dict[str, list[int]]]:
    """The readable grades of each image by criterion, a number a repeat."""
    found: dict[Key, dict[str, list[int]]] = {}
    for one in judgements:
        grades = one.grades
        if isinstance(grades, str):
            continue
        own = found.setdefault((one.dataset, one.id), {name: [] for name in CRITERIA})
        for name in CRITERIA:
            own[name].append(grades[name])
    return found


def _failures(judgements: Iterable[Judgement]) -> dict[str, int]:
    return dict(Counter(str(one.grades) for one in judgements if isinstance(one.grades, str)))


def _criterion(grades: Mapping[Key, Sequence[int]], n_resamples: int, seed: int) -> Figures:
    means = [statistics.fmean(given) for given in grades.values()]
    spreads = [statistics.stdev(given) for given in grades.values() if len(given) > 1]
    return {
        "mean": statistics.fmean(means) if means else None,
        "interval": mean_interval(means, n_resamples=n_resamples, seed=seed),
        "spread_over_repeats": statistics.fmean(spreads) if spreads else None,
    }


def _control(
    of_system: Sequence[Judgement],
    grades: Mapping[Key, Mapping[str, Sequence[int]]],
    name: Control,
    n_resamples: int,
    seed: int,
) -> Figures:
    """How much lower the control's text is graded than the system's own, image by image."""
    own = [one for one in of_system if one.control == name]
    controlled = grades_by_image(own)
    shared = [key for key in controlled if key in grades]
    figures: Figures = {"n": len(shared), "answers": len(own), "failures": _failures(own)}
    for criterion in CRITERIA:
        drops = [
            statistics.fmean(grades[key][criterion]) - statistics.fmean(controlled[key][criterion]) for key in shared
        ]
        figures[criterion] = {
            "lower_by": statistics.fmean(drops) if drops else None,
            "interval": mean_interval(drops, n_resamples=n_resamples, seed=seed),
        }
    return figures
