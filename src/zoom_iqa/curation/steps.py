"""The steps of curation that ask: generate, verify (VRF), rate (HACF). Each adds to a record file what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.record_files import Codec, RecordFile
from zoom_iqa.base.record_labels import changed_labels
from zoom_iqa.base.records import Record, RecordCodec, by_image, record_of, record_without_answer
from zoom_iqa.base.types import Example, ParseFailure, Reading, Rollout, Sample
from zoom_iqa.curation.agreement import ModelRater, RaterAnswer, RaterAnswerCodec
from zoom_iqa.curation.question import question
from zoom_iqa.curation.texts import VerificationPrompts, beginning_of
from zoom_iqa.curation.verdicts import chosen, rationale_of, why_malformed
from zoom_iqa.curation.verification import Verification, VerificationCodec, answer_of
from zoom_iqa.data.datasets import ImageDataset
from zoom_iqa.engines.engine import Engine
from zoom_iqa.parallel.stopping import until_stopped
from zoom_iqa.rollout.collect import collect
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.reading import read_zoom_turn
from zoom_iqa.tasks.task import Session, Task, derive_seed
from zoom_iqa.tasks.tools.crop import why_unviewable

GENERATOR, RATER = "policy", "rater"
"""Speakers."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The needs of every step: images, engines by speaker, images at a time, and the seed of all that is drawn.

    ``unanswered`` counts questions that a server gave no usable answer to, of ``generate`` images; nothing is written
    of them, so that the same command asks again. ``cost`` says what was spent so far.
    """

    dataset: ImageDataset
    engines: Mapping[str, Engine]
    batch_size: int
    seed: int
    unanswered: dict[str, int]
    cost: Callable[[], Mapping[str, float]]

    def batches(self, indices: Sequence[int]) -> Iterator[list[Sample]]:
        """Samples with their pixels."""
        for start in range(0, len(indices), self.batch_size):
            yield [self.dataset[index] for index in indices[start : start + self.batch_size]]

    def count_unanswered(self, step: str, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """The rollouts whose every answer came."""
        came = answered(rollouts)
        self.unanswered[step] = self.unanswered.get(step, 0) + len(rollouts) - len(came)
        return came


def answered(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """The rollouts whose every answer came."""
    return [one for one in rollouts if all(made.generation.finish != "failed" for made in one.steps)]


def generate(path: Path, asking: Asking, *, task: Task, attempts: int) -> tuple[Record, ...]:
    """Trajectories of every image: another attempt, up to ``attempts``, while none is well formed.

    The file may hold trajectories of other images too, of a run with a larger limit; they are left there.

    Raises:
        DataError: it holds trajectories of images whose label is another one now, which would be filtered by the old.
    """
    items = asking.dataset.items()
    with RecordFile(path, RecordCodec()) as file:
        records = file.written
    _refuse_changed(path, records, items)
    for attempt in range(attempts):
        missing = _unanswered(items, records, attempt=attempt)

        def answer(samples: list[Sample], attempt: int = attempt) -> list[Record]:
            unseen = {index: why for index, one in enumerate(samples) if (why := why_unviewable(one.images))}
            seen = [sample for index, sample in enumerate(samples) if index not in unseen]
            sessions: list[Session] = [
                task.open(sample, index=attempt, seed=derive_seed(asking.seed, sample.example.name)) for sample in seen
            ]
            rollouts = answered(collect(sessions, engines=asking.engines))
            unviewable = [
                record_without_answer(samples[index].example, sample=attempt, failure=ParseFailure("unviewable", why))
                for index, why in unseen.items()
            ]
            return [*map(record_of, rollouts), *unviewable]

        title = "generate" if attempt == 0 else f"generate, attempt {attempt + 1}"
        records = _append(path, RecordCodec(), asking, missing, answer, title=title)
    asking.unanswered["generate"] = len(_unanswered(items, records, attempt=attempts - 1))
    here = {item.key for item in items}
    return tuple(record for record in records if record.image_key in here)


def _refuse_changed(path: Path, records: Sequence[Record], items: Sequence[Example]) -> None:
    changed = changed_labels(records, items)
    if changed:
        raise DataError(
            f"{path} holds answers about images with other labels; remove it, vrf.jsonl and hacf.jsonl beside it and "
            "run the command again, which asks a server nothing twice (replies are kept), or take another out=FOLDER",
            changed,
        )


def _unanswered(items: Sequence[Example], records: Sequence[Record], *, attempt: int) -> list[int]:
    """The images that ``attempt`` is to ask about: without a good answer, and without one of this attempt or later."""
    made = by_image(records)
    return [
        index
        for index, item in enumerate(items)
        if not any(
            record.sample >= attempt or why_malformed(record) is None or record.failure == "unviewable"
            for record in made.get(item.key, ())
        )
    ]


def verify(
    path: Path,
    asking: Asking,
    records: Sequence[Record],
    *,
    prompts: PromptSet,
    questions: VerificationPrompts,
) -> tuple[Verification, ...]:
    """Both answers of VRF about the first turn of every well-formed trajectory."""
    wanted = {key: one for key, found in by_image(records).items() if why_malformed(one := chosen(found)) is None}
    sections = prompts.sections(1)

    def read(text: str) -> Reading:
        return read_zoom_turn(text, sections=sections, final_only=False)

    def sessions_of(sample: Sample, record: Record) -> list[Session]:
        beginning = beginning_of(record.steps[0].text, sections)
        return [
            question(
                sample.example,
                questions.messages(image, question=prompts.questions[0], beginning=beginning),
                name=f"{record.sample}/vrf/{name}",
                speaker=GENERATOR,
                seed=asking.seed,
                read=read,
            )
            for name, image in (("with", sample.images[0]), ("without", None))
        ]

    def answer(samples: list[Sample]) -> list[Verification]:
        asked = [(sample, wanted[sample.example.key]) for sample in samples]
        rollouts = collect([one for pair in asked for one in sessions_of(*pair)], engines=asking.engines)
        found = []
        for (_, record), pair in zip(asked, zip(rollouts[::2], rollouts[1::2], strict=True), strict=True):
            if len(asking.count_unanswered("vrf", pair)) == len(pair):
                found.append(_verification(record, pair))
        return found

    codec = VerificationCodec()
    missing = _missing(path, codec, asking, wanted, lambda record: (*record.image_key, record.sample))
    found = _append(path, codec, asking, missing, answer, title="VRF")
    places = {(*key, record.sample) for key, record in wanted.items()}
    return tuple(one for one in found if codec.key(one) in places)


def rate(path: Path, asking: Asking, records: Sequence[Record], *, rater: ModelRater) -> tuple[RaterAnswer, ...]:
    """The rater's answers about ``records``, which are those that passed so far."""
    wanted = {record.image_key: record for record in records}
    question_asked = rater.asked_with({one.name for item in asking.dataset.items() for one in item.indicators})

    def answer(samples: list[Sample]) -> list[RaterAnswer]:
        asked = [(sample, wanted[sample.example.key]) for sample in samples]
        sessions = [
            question(
                sample.example,
                rater.messages(sample, rationale_of(record)),
                name=f"{record.sample}/hacf",
                speaker=RATER,
                seed=asking.seed,
            )
            for sample, record in asked
        ]
        found = []
        for (_, record), rollout in zip(asked, collect(sessions, engines=asking.engines), strict=True):
            if asking.count_unanswered("hacf", [rollout]):
                made = rollout.steps[0].generation
                found.append(
                    RaterAnswer(
                        dataset=record.example.dataset,
                        id=record.example.id,
                        sample=record.sample,
                        text=made.text,
                        finish=made.finish,
                        asked=question_asked,
                    )
                )
        return found

    codec = RaterAnswerCodec()
    missing = _missing(path, codec, asking, wanted, lambda record: (*record.image_key, record.sample, question_asked))
    found = _append(path, codec, asking, missing, answer, title="HACF")
    return tuple(one for one in found if one.asked == question_asked and (one.dataset, one.id) in wanted)


def _verification(record: Record, pair: Sequence[Rollout]) -> Verification:
    with_image, without_image = (answer_of(one.steps[0].generation, one.steps[0].reading) for one in pair)
    return Verification(
        dataset=record.example.dataset,
        id=record.example.id,
        sample=record.sample,
        with_image=with_image,
        without_image=without_image,
    )


def _missing(
    path: Path,
    codec: Codec[T],
    asking: Asking,
    wanted: Mapping[tuple[str, str], Record],
    place: Callable[[Record], Hashable],
) -> list[int]:
    """Indices of the examples of whose trajectory in ``wanted`` the file has no answer; ``place`` is that one's key."""
    with RecordFile(path, codec) as file:
        done: set[Hashable] = {codec.key(record) for record in file.written}
    keys = [item.key for item in asking.dataset.items()]
    return [index for index, key in enumerate(keys) if key in wanted and place(wanted[key]) not in done]


def _append(
    path: Path,
    codec: Codec[T],
    asking: Asking,
    indices: Sequence[int],
    answer: Callable[[list[Sample]], list[T]],
    title: str,
) -> tuple[T, ...]:
    """Append what ``answer`` makes of each batch, until all is there or a signal asks to stop; then all of the file."""
    with RecordFile(path, codec) as file, ProgressLine(title, total=len(indices), shown=bool(indices)) as progress:

        def steps() -> Iterator[int]:
            for samples in asking.batches(indices):
                file.append(answer(samples))
                yield len(samples)

        for done in until_stopped(steps()):
            progress.advance(done)
    return RecordFile(path, codec).read()
