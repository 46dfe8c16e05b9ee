"""The verdict of each step on a trajectory: kept, or refused and why. Pure: from records, without asking anyone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoom_iqa.base.records import Record
from zoom_iqa.curation.agreement import JudgesRecord, ModelRater, RaterAnswer
from zoom_iqa.curation.texts import thought_of
from zoom_iqa.curation.verification import Verification, VisualReliance

STEPS = ("read", "vrf", "hacf")
"""Those of every pipeline; filters of one's own have other names."""

Key = tuple[str, str]
"""Data set and id of an example."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The fate of an example. ``step`` refused it, for ``reason``; both are None where it is kept.

    ``sample`` is the trajectory that was judged last, and ``attempts`` how many were made.
    """

    dataset: str
    id: str
    sample: int
    attempts: int
    step: str | None
    reason: str | None

    @property
    def kept(self) -> bool:
        """Whether it passed every step."""
        return self.step is None


class VerdictCodec:
    """Lines of ``verdicts.jsonl``."""

    def key(self, record: Verdict) -> Hashable:
        """Data set and id."""
        return record.dataset, record.id

    def encode(self, record: Verdict) -> Mapping[str, Any]:
        """JSON-safe fields."""
        return asdict(record)

    def decode(self, fields: Mapping[str, Any]) -> Verdict:
        """The record of a line."""
        return Verdict(**fields)


def why_malformed(record: Record) -> str | None:
    """Why a trajectory cannot be learned from; None if every answer of it is complete and as the prompt asks."""
    finishes = [step.finish for step in record.steps if step.finish != "stop"]
    if finishes:
        return finishes[0]
    return record.failure or record.ending.failure or (None if record.well_formed else "malformed")


def chosen(records: Sequence[Record]) -> Record:
    """Of the attempts at one example the first that is well formed, or the last."""
    ordered = sorted(records, key=lambda record: record.sample)
    return next((record for record in ordered if why_malformed(record) is None), ordered[-1])


def rationale_of(record: Record) -> str:
    """The thoughts of a trajectory, a paragraph a turn."""
    return "\n\n".join(thought_of(step.text) for step in record.steps)


def verdict_of(
    attempts: Sequence[Record],
    *,
    vrf: VisualReliance | None,
    verification: Verification | None,
    hacf: ModelRater | JudgesRecord | None,
    rater_answer: RaterAnswer | None,
    filters: Mapping[str, JudgesRecord],
) -> Verdict | None:
    """The fate of an example by the filters that are on, ``filters`` by name after the two; the first refusal counts.

    None while an answer that decides it is still missing.
    """
    record = chosen(attempts)
    step, reason = "read", why_malformed(record)
    if reason is None and vrf is not None:
        if verification is None:
            return None
        step, reason = "vrf", vrf.reason(verification)
    if reason is None and isinstance(hacf, ModelRater):
        if rater_answer is None:
            return None
        step, reason = "hacf", hacf.reason(rater_answer, rationale_of(record))
    rules = {"hacf": hacf, **filters} if isinstance(hacf, JudgesRecord) else filters
    for name, rule in rules.items():
        if reason is None:
            step, reason = name, rule.reason_of(record)
    return Verdict(
        dataset=record.example.dataset,
        id=record.example.id,
        sample=record.sample,
        attempts=len(attempts),
        step=None if reason is None else step,
        reason=reason,
    )
