"""Rollouts and records put together by hand: for rewards, figures and files that read what a task would have read."""

from __future__ import annotations

from zoom_iqa.base.errors import FailureReason
from zoom_iqa.base.records import Record, RecordedStep
from zoom_iqa.base.types import (
    Box,
    Choice,
    Ending,
    Example,
    Generation,
    ImageRef,
    Look,
    ParseFailure,
    Preference,
    Reading,
    Request,
    Rollout,
    RolloutGroup,
    Step,
    rated_example,
)
from zoom_iqa.tasks.answer import rating_values


def reading(rating: float | ParseFailure, *, well_formed: bool = True) -> Reading:
    if isinstance(rating, ParseFailure):
        return Reading(well_formed=well_formed, failure=rating)
    return Reading(values=rating_values(rating), well_formed=well_formed)


def step(
    rating: float | ParseFailure,
    *,
    well_formed: bool = True,
    box: Box | None = None,
    text: str = "text",
    token_ids: tuple[int, ...] = (),
) -> Step:
    zeros = (0.0,) * len(token_ids)
    generation = Generation("k", text, token_ids, zeros, zeros, "stop")
    request = Request(key="k", prompt_key="p", prompt=(), seed=0)
    return Step(request, generation, reading(rating, well_formed=well_formed), () if box is None else (Look(box=box),))


def rollout(example: Example, *steps: Step, index: int = 0, ending: Ending = Ending.FINAL) -> Rollout:
    return Rollout(example, index, steps, ending)


def group(
    name: str,
    mos: float,
    ratings: list[float | ParseFailure],
    *,
    mos_std: float | None = None,
    well_formed: bool = True,
) -> RolloutGroup:
    """One-step rollouts of one image."""
    example = rated_example(id=name, dataset="d", mos=mos, mos_std=mos_std)
    made = [rollout(example, step(r, well_formed=well_formed), index=i) for i, r in enumerate(ratings)]
    return RolloutGroup(example, tuple(made))


def choice_record(
    label: Choice,
    choice: Choice | None,
    *,
    pair: str = "a vs b",
    swapped: bool = False,
    source: str | None = None,
    kind: str | None = None,
    sample: int = 0,
) -> Record:
    """The answer to a comparison; without a choice it cannot be read."""
    example = Example(
        id=f"{pair}{' swapped' if swapped else ''}",
        dataset="pairs",
        images=(ImageRef(view="a"), ImageRef(view="b")),
        target=Preference(choice=label, pair=pair, swapped=swapped, kind=kind),
        reference_id=source,
    )
    values: dict[str, float | str] = {} if choice is None else {"choice": choice}
    failure = ParseFailure("bad_choice", "") if choice is None else None
    made = Reading(values=values, well_formed=choice is not None, failure=failure)
    step = RecordedStep(text="so", tokens=7, finish="stop", reading=made)
    return Record(example=example, sample=sample, steps=(step,), ending=Ending.FINAL)


def record(
    name: str,
    *,
    sample: int = 0,
    rating: float | None = 3.5,
    mos: float = 3.0,
    mos_std: float | None = None,
    text: str = "so",
    box: Box | None = None,
    warning: FailureReason | None = None,
    dataset: str = "d",
) -> Record:
    """With a box it has two steps; without a rating its answer is missing."""
    outcome: float | ParseFailure = ParseFailure("missing_answer", "") if rating is None else rating
    last = RecordedStep(text=text, tokens=7, finish="stop", reading=reading(outcome, well_formed=rating is not None))
    first = RecordedStep(text=text, tokens=7, finish="stop", reading=reading(3.0), looks=(Look(box=box),))
    return Record(
        example=rated_example(id=name, dataset=dataset, mos=mos, mos_std=mos_std),
        sample=sample,
        steps=(last,) if box is None else (first, last),
        ending=Ending.FINAL if warning is None else Ending(warning),
        seconds=0.5,
    )
