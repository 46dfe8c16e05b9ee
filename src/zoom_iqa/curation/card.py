"""The data card: how many trajectories each step left, why others went, and what those kept are like."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoom_iqa.base.records import Record
from zoom_iqa.base.types import Mos
from zoom_iqa.curation.verdicts import Key, Verdict
from zoom_iqa.curation.verification import Verification, VisualReliance
from zoom_iqa.engines.speaker import written_amount
from zoom_iqa.metrics.correlation import plcc, rmse, srcc
from zoom_iqa.metrics.undefined import value_or_sentence

Card = dict[str, Any]
AGREEMENT: Mapping[str, Callable[[list[float], list[float]], float]] = {"srcc": srcc, "plcc": plcc, "rmse": rmse}


def card_of(
    verdicts: Sequence[Verdict],
    *,
    records: Mapping[Key, Record],
    verifications: Sequence[Verification],
    vrf: VisualReliance | None,
    images: int,
    unanswered: Mapping[str, int],
    cost: Mapping[str, float],
) -> Card:
    """All figures of a run; ``records`` are the chosen trajectories by data set and id.

    ``before`` describes those that are readable before any filter, ``after`` the kept ones.
    """
    chosen = [records[one.dataset, one.id] for one in verdicts]
    kept = [records[one.dataset, one.id] for one in verdicts if one.kept]
    return {
        "images": images,
        "undecided": images - len(verdicts),
        "unanswered": dict(unanswered),
        "kept": len(kept),
        "refused": refusals(verdicts),
        "attempts": {str(n): count for n, count in sorted(Counter(one.attempts for one in verdicts).items())},
        "verified": len(verifications),
        "vrf_tests": {} if vrf is None else tests_of(verifications, vrf),
        "before": described([record for record in chosen if record.rating is not None]),
        "after": described(kept),
        "cost": dict(cost),
    }


def refusals(verdicts: Sequence[Verdict]) -> dict[str, dict[str, int]]:
    """How many each step refused, by reason."""
    found: dict[str, Counter[str]] = {}
    for one in verdicts:
        if one.step is not None and one.reason is not None:
            found.setdefault(one.step, Counter())[one.reason] += 1
    return {step: dict(counts.most_common()) for step, counts in found.items()}


def tests_of(verifications: Sequence[Verification], vrf: VisualReliance) -> dict[str, dict[str, int]]:
    """Of each test of VRF that is on: in how many trajectories it had its values, and in how many they were alike."""
    outcomes = [vrf.alike(found) for found in verifications]
    return {
        name: {
            "had_values": sum(name in outcome for outcome in outcomes),
            "alike": sum(outcome.get(name, False) for outcome in outcomes),
        }
        for name in vrf.tests
    }


def described(records: Sequence[Record]) -> Card:
    """Agreement of ratings with people, crop rate, lengths in words a turn."""
    rated = [
        (record.rating, record.example.mos)
        for record in records
        if record.rating is not None and isinstance(record.example.target, Mos)
    ]
    ratings, mos = [rating for rating, _ in rated], [score for _, score in rated]
    words = [len(step.text.split()) for record in records for step in record.steps]
    return {
        "n": len(records),
        **{name: value_or_sentence(metric, ratings, mos) for name, metric in AGREEMENT.items()},
        "crop_rate": statistics.fmean(record.cropped for record in records) if records else None,
        "words_a_turn": statistics.fmean(words) if words else None,
    }


def card_text(card: Card, *, about: Mapping[str, str]) -> str:
    """The card as Markdown; ``about`` is who made the data and how."""
    lines = ["# Data card", "", *[f"- {name}: {value}" for name, value in about.items()], "", "## Steps", ""]
    lines += ["| step | reason | trajectories |", "| --- | --- | --- |"]
    lines.append(f"| images | | {card['images']} |")
    if card["undecided"]:
        lines.append(f"| not answered yet | | {card['undecided']} |")
    for step, reasons in card["refused"].items():
        lines += [f"| refused by {step} | {reason} | {count} |" for reason, count in reasons.items()]
    lines += [f"| kept | | {card['kept']} |", ""]
    if card["vrf_tests"]:
        lines += ["## Tests of VRF", "", "| test | had its values | found alike |", "| --- | --- | --- |"]
        lines += [f"| {name} | {t['had_values']} | {t['alike']} |" for name, t in card["vrf_tests"].items()]
        lines += [*_about_entropy(card), ""]
    lines += ["## Trajectories", "", "| | with a rating | kept |", "| --- | --- | --- |"]
    for name in card["before"]:
        lines.append(f"| {name} | {_shown(card['before'][name])} | {_shown(card['after'][name])} |")
    cost = [f"- {name}: {written_amount(value)}" for name, value in card["cost"].items()]
    lines += ["", "## Cost", "", *(cost or ["- nothing: answers were made in this process"]), ""]
    return "\n".join(lines)


def _about_entropy(card: Card) -> list[str]:
    """A sentence where the test of entropies was off, and why."""
    test = card["vrf_tests"].get("entropy")
    if test is None:
        return ["", "The entropy test was off: vrf.entropy is null."]
    if card["verified"] and not test["had_values"]:
        return ["", "The entropy test was off: the generator gave no log-probabilities."]
    return []


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
