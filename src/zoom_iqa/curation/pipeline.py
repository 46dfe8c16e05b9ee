"""Curation from images to data: generate, read, verify, rate, filter, export, each step from the files of those before.

FOLDER/trajectories.jsonl  vrf.jsonl  hacf.jsonl  (what was answered)
       verdicts.jsonl  sft_<split>.jsonl  images/  card.json  card.md  (what follows from it, made anew by every run)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, by_image
from zoom_iqa.curation.agreement import JudgesRecord, ModelRater, RaterAnswer
from zoom_iqa.curation.card import Card, card_of, card_text
from zoom_iqa.curation.export import export
from zoom_iqa.curation.steps import Asking, generate, rate, verify
from zoom_iqa.curation.texts import VerificationPrompts
from zoom_iqa.curation.verdicts import STEPS, Key, Verdict, VerdictCodec, chosen, verdict_of
from zoom_iqa.curation.verification import Verification, VisualReliance
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Curated:
    """The outcome of a run; answers to VRF's questions and to the rater's are of the trajectories in ``records``."""

    card: Card
    verdicts: tuple[Verdict, ...]
    records: Mapping[Key, Record]
    verifications: tuple[Verification, ...]
    rater_answers: tuple[RaterAnswer, ...]
    sft: Path


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """All that was answered; ``rater_answers`` is None before the rater is asked."""

    attempts: Mapping[Key, Sequence[Record]]
    verifications: tuple[Verification, ...]
    rater_answers: tuple[RaterAnswer, ...] | None


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The steps with their settings; ``vrf`` or ``hacf`` None leaves that filter out.

    ``filters`` come after these two, in their order, each counted under its name.

    Raises:
        ConfigError: ``attempts`` is below 1, a filter has the name of a step, or one can refuse nothing.
    """

    task: Task
    prompts: PromptSet
    attempts: int
    vrf: VisualReliance | None
    vrf_prompts: VerificationPrompts
    hacf: ModelRater | JudgesRecord | None
    filters: Mapping[str, JudgesRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"attempts={self.attempts} must be at least 1")
        if not isinstance(self.hacf, ModelRater | JudgesRecord | None):
            raise ConfigError(f"hacf: {type(self.hacf).__name__} has no reason_of(record) to refuse by")
        for name, one in self.filters.items():
            if name in STEPS:
                raise ConfigError(f"filters.{name}: {name} is a step already; give the filter another name")
            if not isinstance(one, JudgesRecord):
                raise ConfigError(f"filters.{name}: {type(one).__name__} has no reason_of(record) to refuse by")

    def run(self, folder: Path, asking: Asking, *, split: str, about: Mapping[str, str]) -> Curated:
        """Ask what is still missing, then write what follows from all answers.

        Raises:
            BudgetError, ServerError, ConfigError: the engines answer no more; what was answered is kept.
        """
        records = generate(folder / "trajectories.jsonl", asking, task=self.task, attempts=self.attempts)
        verifications: tuple[Verification, ...] = ()
        if self.vrf is not None:
            verifications = verify(
                folder / "vrf.jsonl", asking, records, prompts=self.prompts, questions=self.vrf_prompts
            )
        answers = _Answers(attempts=by_image(records), verifications=verifications, rater_answers=None)
        rater_answers: tuple[RaterAnswer, ...] = ()
        if isinstance(self.hacf, ModelRater):
            passed = [chosen(answers.attempts[one.dataset, one.id]) for one in self._verdicts(answers) if one.kept]
            rater_answers = rate(folder / "hacf.jsonl", asking, passed, rater=self.hacf)
        answers = replace(answers, rater_answers=rater_answers)
        return self._written(folder, asking, answers, split=split, about=about)

    def _verdicts(self, answers: _Answers) -> tuple[Verdict, ...]:
        """By the steps that the answers have come to: before the rater is asked, those before it."""
        verified = {(one.dataset, one.id, one.sample): one for one in answers.verifications}
        rated = {(one.dataset, one.id, one.sample): one for one in answers.rater_answers or ()}
        before_rater = answers.rater_answers is None
        found = []
        for key, own in answers.attempts.items():
            place = (*key, chosen(own).sample)
            verdict = verdict_of(
                own,
                vrf=self.vrf,
                verification=verified.get(place),
                hacf=None if before_rater else self.hacf,
                rater_answer=rated.get(place),
                filters={} if before_rater else self.filters,
            )
            if verdict is not None:
                found.append(verdict)
        return tuple(found)

    def _written(
        self, folder: Path, asking: Asking, answers: _Answers, *, split: str, about: Mapping[str, str]
    ) -> Curated:
        verdicts = self._verdicts(answers)
        RecordFile(folder / "verdicts.jsonl", VerdictCodec()).write(verdicts)
        records = {key: chosen(own) for key, own in answers.attempts.items()}
        kept = [records[one.dataset, one.id] for one in verdicts if one.kept]
        sft = export(folder, kept, dataset=asking.dataset, task=self.task, seed=asking.seed, split=split)
        card = card_of(
            verdicts,
            records=records,
            verifications=answers.verifications,
            vrf=self.vrf,
            images=len(asking.dataset),
            unanswered=asking.unanswered,
            cost=asking.cost(),
        )
        with whole_text_file(folder / "card.json") as file:
            json.dump(card, file, indent=2, allow_nan=False)
        with whole_text_file(folder / "card.md") as file:
            file.write(card_text(card, about=about))
        return Curated(
            card=card,
            verdicts=verdicts,
            records=records,
            verifications=answers.verifications,
            rater_answers=answers.rater_answers or (),
            sft=sft,
        )
