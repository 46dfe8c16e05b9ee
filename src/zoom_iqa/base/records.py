"""A record: a rollout without tokens and pixels, as files keep it and figures read it; schema 1.

Files of schema 0 (one prediction a line, without a ``schema`` field) stay readable.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from zoom_iqa.base.errors import FailureReason
from zoom_iqa.base.judgements import Evidence, RatingDistribution
from zoom_iqa.base.stepwise import Stepwise
from zoom_iqa.base.types import (
    Choice,
    Ending,
    Example,
    Finish,
    ImageRef,
    Look,
    Mos,
    ParseFailure,
    Preference,
    Reading,
    Rollout,
    ToolCall,
    Truth,
)

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """One answer: its text, how many tokens it took (0 where nobody counted), and all that was read from it."""

    text: str
    tokens: int
    finish: Finish
    reading: Reading
    looks: tuple[Look, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Record(Stepwise):
    """One trajectory over an example.

    ``sample`` counts the trajectories of an example from 0; ``expected`` is the distribution that the rating was drawn
    from, where evaluation has asked for it; ``rewards`` are the unweighted terms it was trained with and their weighted
    ``total``; ``step`` is the training step that made it; ``seconds`` is its share of the time its batch took to
    answer.
    """

    example: Example
    sample: int
    steps: tuple[RecordedStep, ...]
    ending: Ending
    expected: RatingDistribution | None = None
    probes: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    rewards: Mapping[str, float] = field(default_factory=dict)
    step: int | None = None
    seconds: float = 0.0

    @property
    def image_key(self) -> tuple[str, str]:
        """Data set and id of its example."""
        return self.example.key

    @property
    def rating(self) -> float | None:
        """The rating that counts, None where ``failure`` says why there is none."""
        rating = self.steps[-1].reading.rating
        return None if isinstance(rating, ParseFailure) else rating

    @property
    def choice(self) -> Choice | None:
        """The image preferred, of two; None in a rating, and where ``failure`` says why there is none."""
        return self.steps[-1].reading.choice

    @property
    def failure(self) -> FailureReason | None:
        """Why there is neither a rating nor a choice."""
        judgement = self.steps[-1].reading.judgement
        return judgement.reason if isinstance(judgement, ParseFailure) else None


def by_image(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """The records of each image, or pair, under its key, in the order of first appearance."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault(record.image_key, []).append(record)
    return found


def record_of(
    rollout: Rollout,
    *,
    expected: RatingDistribution | None = None,
    rewards: Mapping[str, float] | None = None,
    step: int | None = None,
    seconds: float = 0.0,
) -> Record:
    """The record of a finished trajectory; its probes are recorded too."""
    return Record(
        example=rollout.example,
        sample=rollout.index,
        steps=tuple(
            RecordedStep(
                text=made.generation.text,
                tokens=len(made.generation.token_ids or ()),
                finish=made.generation.finish,
                reading=made.reading,
                looks=made.looks,
            )
            for made in rollout.steps
        ),
        ending=rollout.ending,
        expected=expected,
        probes={name: tuple(map(record_of, answers)) for name, answers in rollout.probes.items()},
        rewards=rewards or {},
        step=step,
        seconds=round(seconds, 4),
    )


def record_without_answer(example: Example, *, sample: int, failure: ParseFailure, seconds: float = 0.0) -> Record:
    """The record of an image that could not be asked about; ``failure`` says why."""
    reading = Reading(well_formed=False, failure=failure)
    step = RecordedStep(text="", tokens=0, finish="stop", reading=reading)
    return Record(example=example, sample=sample, steps=(step,), ending=Ending.NO_ANSWER, seconds=round(seconds, 4))


class RecordCodec:
    """Lines of ``predictions.jsonl``: the record, and in front of it what people look for first."""

    def key(self, record: Record) -> Hashable:
        """Training step, data set, id and sample."""
        return (record.step, *record.image_key, record.sample)

    def encode(self, record: Record) -> dict[str, Any]:
        """JSON-safe fields; places of digits are left out, as they follow from the text."""
        example, target = record.example, record.example.target
        return {
            "schema": SCHEMA,
            "id": example.id,
            "dataset": example.dataset,
            "sample": record.sample,
            "mos": target.mean if isinstance(target, Mos) else None,
            "mos_std": target.std if isinstance(target, Mos) else None,
            "mos_clipped": target.clipped if isinstance(target, Mos) else None,
            "preference": target.choice if isinstance(target, Preference) else None,
            "pair": _pair_fields(target) if isinstance(target, Preference) else None,
            "rating": record.rating,
            "choice": record.choice,
            "expected": None if record.expected is None else asdict(record.expected),
            "failure": record.failure,
            "well_formed": record.well_formed,
            "ending": record.ending.value,
            "steps": [_step_fields(step) for step in record.steps],
            "images": [asdict(ref) for ref in example.images],
            "references": list(example.references),
            "summary": example.summary,
            "split": example.split,
            "reference_id": example.reference_id,
            "truth": None if example.truth is None else asdict(example.truth),
            "probes": {name: [self.encode(answer) for answer in found] for name, found in record.probes.items()},
            "rewards": dict(record.rewards),
            "step": record.step,
            "seconds": record.seconds,
        }

    def decode(self, fields: Mapping[str, Any]) -> Record:
        """The record of a line of schema 1 or 0; ValueError for another schema."""
        if "schema" not in fields:
            return _from_prediction(fields)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']} is not known; this version reads 0 and {SCHEMA}")
        if not fields["steps"]:
            raise ValueError("it has no steps")
        return Record(
            example=_example(fields),
            sample=fields["sample"],
            steps=tuple(_step(step) for step in fields["steps"]),
            ending=Ending(fields["ending"]),
            expected=RatingDistribution(**expected) if (expected := fields.get("expected")) else None,
            probes={name: tuple(map(self.decode, found)) for name, found in fields["probes"].items()},
            rewards=fields["rewards"],
            step=fields["step"],
            seconds=fields["seconds"],
        )


def _example(fields: Mapping[str, Any]) -> Example:
    target: Mos | Preference | None = None
    if fields["mos"] is not None:
        if not isinstance(fields["mos"], int | float):
            raise ValueError(f"mos is {fields['mos']!r}; a number is needed")
        target = Mos(mean=fields["mos"], std=fields["mos_std"], clipped=bool(fields.get("mos_clipped")))
    elif fields["preference"] is not None:
        target = Preference(choice=fields["preference"], **(fields.get("pair") or {}))
    truth = fields["truth"]
    return Example(
        id=fields["id"],
        dataset=fields["dataset"],
        images=tuple(ImageRef(**ref) for ref in fields["images"]),
        target=target,
        references=tuple(fields["references"]),
        summary=fields.get("summary"),
        split=fields["split"],
        reference_id=fields["reference_id"],
        truth=None if truth is None else Truth(**{**truth, "region": _tuple(truth["region"])}),
    )


def _pair_fields(target: Preference) -> dict[str, Any]:
    return {"pair": target.pair, "swapped": target.swapped, "kind": target.kind}


def _step_fields(step: RecordedStep) -> dict[str, Any]:
    reading = step.reading
    return {
        "text": step.text,
        "tokens": step.tokens,
        "finish": step.finish,
        "values": dict(reading.values),
        "calls": [asdict(call) for call in reading.calls],
        "well_formed": reading.well_formed,
        "failure": None if reading.failure is None else asdict(reading.failure),
        "call_failure": None if reading.call_failure is None else asdict(reading.call_failure),
        "looks": [asdict(look) for look in step.looks],
        "evidence": None if reading.evidence is None else [asdict(one) for one in reading.evidence],
    }


def _step(fields: Mapping[str, Any]) -> RecordedStep:
    failure, call_failure = fields["failure"], fields["call_failure"]
    return RecordedStep(
        text=fields["text"],
        tokens=fields["tokens"],
        finish=fields["finish"],
        reading=Reading(
            values=dict(fields["values"]),
            calls=tuple(ToolCall(**{**call, "bbox": _tuple(call["bbox"])}) for call in fields["calls"]),
            well_formed=fields["well_formed"],
            failure=None if failure is None else ParseFailure(**failure),
            call_failure=None if call_failure is None else ParseFailure(**call_failure),
            evidence=_evidence(fields.get("evidence")),
        ),
        looks=tuple(
            Look(box=_tuple(look["box"]), region=_tuple(look.get("region")), refusal=look["refusal"])
            for look in fields["looks"]
        ),
    )


def _evidence(listed: Sequence[Mapping[str, Any]] | None) -> tuple[Evidence, ...] | None:
    return None if listed is None else tuple(Evidence(**{**one, "bbox": _tuple(one["bbox"])}) for one in listed)


def _from_prediction(fields: Mapping[str, Any]) -> Record:
    """A line of schema 0: it knows the format of the trajectory as a whole, and one box."""
    texts: Sequence[str] = fields["texts"]
    tokens = [*fields["tokens"], *[0] * len(texts)]
    failure, box = fields["failure"], _tuple(fields["box"])
    steps = []
    for number, text in enumerate(texts):
        is_last = number == len(texts) - 1
        rated = is_last and fields["rating"] is not None
        reading = Reading(
            values={"rating": float(fields["rating"])} if rated else {},
            well_formed=fields["well_formed"] if is_last else True,
            failure=ParseFailure(failure, "") if is_last and failure is not None else None,
        )
        looks = (Look(box=box),) if number == 0 and box is not None else ()
        steps.append(RecordedStep(text=text, tokens=tokens[number], finish="stop", reading=reading, looks=looks))
    warning = fields["routing_warning"]
    return Record(
        example=Example(
            id=fields["id"], dataset=fields["dataset"], target=Mos(mean=fields["mos"], std=fields["mos_std"])
        ),
        sample=fields["sample"],
        steps=tuple(steps),
        ending=Ending.FINAL if warning is None else Ending(warning),
        seconds=fields["seconds"],
    )


def _tuple(values: Sequence[Any] | None) -> Any:
    return None if values is None else tuple(values)
