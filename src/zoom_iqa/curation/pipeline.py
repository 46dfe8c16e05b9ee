"""Curation from images to data: generate, read, verify, rate, export, each step from the files of those before.

FOLDER/trajectories.jsonl  vrf.jsonl  hacf.jsonl  (what was answered)
       verdicts.jsonl  sft_<split>.jsonl  images/  card.json  card.md  (what follows from it, made anew by every run)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record
from zoom_iqa.curation.agreement import JudgesRecord, ModelRater, Rating
from zoom_iqa.curation.card import Card, card_of, card_text
from zoom_iqa.curation.export import export
from zoom_iqa.curation.steps import Asking, generate, rate, verify
from zoom_iqa.curation.texts import VerificationPrompts
from zoom_iqa.curation.verdicts import Key, Verdict, VerdictCodec, by_example, chosen, verdict_of
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
    ratings: tuple[Rating, ...]
    sft: Path


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The steps with their settings; ``vrf`` or ``hacf`` None leaves that filter out.

    Raises:
        ConfigError: ``attempts`` is below 1.
    """

    task: Task
    prompts: PromptSet
    attempts: int
    vrf: VisualReliance | None
    vrf_prompts: VerificationPrompts
    hacf: ModelRater | JudgesRecord | None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"attempts={self.attempts} must be at least 1")
        if not isinstance(self.hacf, ModelRater | JudgesRecord | None):
            raise ConfigError(f"hacf: {type(self.hacf).__name__} has no reason_of(record) to refuse by")

    def run(self, folder: Path, asking: Asking, *, split: str, about: Mapping[str, str]) -> Curated:
        """Ask what is still missing, then write what follows from all answers.

        Raises:
            BudgetError, ServerError, ConfigError: the engines answer no more; what was answered is kept.
        """
        records = generate(folder / "trajectories.jsonl", asking, task=self.task, attempts=self.attempts)
        attempts = by_example(records)
        verifications: tuple[Verification, ...] = ()
        if self.vrf is not None:
            verifications = verify(
                folder / "vrf.jsonl", asking, records, prompts=self.prompts, questions=self.vrf_prompts
            )
        ratings: tuple[Rating, ...] = ()
        if isinstance(self.hacf, ModelRater):
            passed = [chosen(attempts[one.dataset, one.id]) for one in self._verdicts(attempts, verifications, None)]
            ratings = rate(folder / "hacf.jsonl", asking, passed, rater=self.hacf)
        verdicts = self._verdicts(attempts, verifications, ratings)
        return self._written(folder, asking, attempts, verifications, ratings, verdicts, split, about)

    def _verdicts(
        self,
        attempts: Mapping[Key, Sequence[Record]],
        verifications: Sequence[Verification],
        ratings: Sequence[Rating] | None,
    ) -> tuple[Verdict, ...]:
        """Without ``ratings``: those that pass everything before the rater."""
        verified = {(one.dataset, one.id, one.sample): one for one in verifications}
        rated = {(one.dataset, one.id, one.sample): one for one in ratings or ()}
        found = []
        for key, own in attempts.items():
            place = (*key, chosen(own).sample)
            verdict = verdict_of(
                own,
                vrf=self.vrf,
                verification=verified.get(place),
                hacf=None if ratings is None else self.hacf,
                rating=rated.get(place),
            )
            if verdict is not None and (ratings is not None or verdict.kept):
                found.append(verdict)
        return tuple(found)

    def _written(
        self,
        folder: Path,
        asking: Asking,
        attempts: Mapping[Key, Sequence[Record]],
        verifications: tuple[Verification, ...],
        ratings: tuple[Rating, ...],
        verdicts: tuple[Verdict, ...],
        split: str,
        about: Mapping[str, str],
    ) -> Curated:
        RecordFile(folder / "verdicts.jsonl", VerdictCodec()).write(verdicts)
        records = {key: chosen(own) for key, own in attempts.items()}
        kept = [records[one.dataset, one.id] for one in verdicts if one.kept]
        sft = export(folder, kept, dataset=asking.dataset, task=self.task, seed=asking.seed, split=split)
        card = card_of(
            verdicts,
            records=records,
            verifications=verifications,
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
            card=card, verdicts=verdicts, records=records, verifications=verifications, ratings=ratings, sft=sft
        )
