"""Asking a judge about the answers of several systems, whose names and order it never learns."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record
from zoom_iqa.base.targets import RATING_MIDDLE
from zoom_iqa.base.types import Mos
from zoom_iqa.curation.judging import (
    CONTROLS,
    Control,
    Judgement,
    JudgementCodec,
    JudgePrompt,
    conclusion_of,
)
from zoom_iqa.curation.question import question
from zoom_iqa.curation.steps import Asking
from zoom_iqa.curation.texts import digest_of
from zoom_iqa.parallel.stopping import until_stopped
from zoom_iqa.rollout.collect import collect
from zoom_iqa.tasks.grades import JUDGE


@dataclass(frozen=True, kw_only=True)
class Question:
    """A text about an image to be graded, and its place among others."""

    system: str
    dataset: str
    id: str
    control: Control | None
    repeat: int
    judged: str

    @property
    def place(self) -> tuple[str, str, str, str | None, int, str]:
        """The key of its judgement."""
        return self.system, self.dataset, self.id, self.control, self.repeat, digest_of(self.judged)


def questions_about(
    systems: Mapping[str, Sequence[Record]], *, prompt: JudgePrompt, repeats: int, controls: bool, seed: int
) -> tuple[Question, ...]:
    """Every system's own texts, ``repeats`` times each, and the controls of each once; in an order drawn from ``seed``.

    Of an image's answers the first counts; one without a text is left out. ``swapped`` is the system's text about
    another image, ``opposite`` a text that judges against people's score, or against the system's own rating.
    """
    found: list[Question] = []
    for system, records in systems.items():
        texts: dict[tuple[str, str], tuple[Record, str]] = {}
        for one in records:
            if one.sample == 0 and (text := conclusion_of(one)):
                texts.setdefault(one.image_key, (one, text))
        others = list(texts)
        shift = max(1, len(others) // 2)
        for number, (key, (record, text)) in enumerate(texts.items()):
            judged: list[tuple[Control | None, int, str]] = [(None, repeat, text) for repeat in range(repeats)]
            if controls:
                swapped = texts[others[(number + shift) % len(others)]][1]
                other_way = prompt.opposite_of_good if _is_good(record) else prompt.opposite_of_bad
                given = {"swapped": swapped, "template": prompt.template, "opposite": other_way}
                judged += [(name, 0, given[name]) for name in CONTROLS if given[name] != text]
            found += [
                Question(system=system, dataset=key[0], id=key[1], control=control, repeat=repeat, judged=shown)
                for control, repeat, shown in judged
            ]
    random.Random(seed).shuffle(found)
    return tuple(found)


def ask_judge(
    path: Path, asking: Asking, questions: Sequence[Question], *, prompt: JudgePrompt
) -> tuple[Judgement, ...]:
    """The judgements of ``questions``, all about images of the data set, that came; those of earlier runs included."""
    index_of = {item.key: index for index, item in enumerate(asking.dataset.items())}
    codec, wanted = JudgementCodec(), {one.place for one in questions}
    with RecordFile(path, codec) as file:
        done = {codec.key(one) for one in file.written}
        missing = [one for one in questions if one.place not in done]

        with ProgressLine(JUDGE, total=len(missing), shown=bool(missing)) as progress:
            batches = (
                missing[start : start + asking.batch_size] for start in range(0, len(missing), asking.batch_size)
            )
            for count in until_stopped(_asked(batch, asking, index_of, prompt, file) for batch in batches):
                progress.advance(count)
    return tuple(one for one in RecordFile(path, codec).read() if codec.key(one) in wanted)


def require_known(keys: Iterable[tuple[str, str]], known: Collection[tuple[str, str]]) -> None:
    """Pass answers about images that the data set has.

    Raises:
        DataError: it lacks some.
    """
    unknown = sorted({f"{dataset}:{name}" for dataset, name in keys if (dataset, name) not in known})
    if unknown:
        raise DataError(
            "answers are about images that are not in this benchmark and split; name theirs, as benchmark=NAME or "
            "benchmark=manifest manifest=FILE",
            unknown,
        )


def _asked(
    batch: Sequence[Question],
    asking: Asking,
    index_of: Mapping[tuple[str, str], int],
    prompt: JudgePrompt,
    file: RecordFile[Judgement],
) -> int:
    samples = {key: asking.dataset[index_of[key]] for key in {(one.dataset, one.id) for one in batch}}
    sessions = [
        question(
            samples[one.dataset, one.id].example,
            prompt.messages(samples[one.dataset, one.id], one.judged),
            name=f"{one.system}/{one.control}/{one.repeat}/judge",
            speaker=JUDGE,
            seed=asking.seed,
        )
        for one in batch
    ]
    made = []
    for one, rollout in zip(batch, collect(sessions, engines=asking.engines), strict=True):
        if asking.count_unanswered(JUDGE, [rollout]):
            generation = rollout.steps[0].generation
            made.append(
                Judgement(
                    system=one.system,
                    dataset=one.dataset,
                    id=one.id,
                    control=one.control,
                    repeat=one.repeat,
                    about=digest_of(one.judged),
                    text=generation.text,
                    finish=generation.finish,
                )
            )
    file.append(made)
    return len(batch)


def _is_good(record: Record) -> bool:
    target = record.example.target
    score = target.mean if isinstance(target, Mos) else record.rating
    return score is None or score >= RATING_MIDDLE
