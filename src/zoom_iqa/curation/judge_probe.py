"""A judge of rollouts: grades what each has written, before the weights that wrote it move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import ImagePart, Request, Rollout, Sample
from zoom_iqa.curation.judging import JudgePrompt, conclusion
from zoom_iqa.curation.question import as_written
from zoom_iqa.engines.speaker import Speaker, Speaking
from zoom_iqa.tasks.grades import JUDGE
from zoom_iqa.tasks.sessions import QuestionSession
from zoom_iqa.tasks.task import derive_seed, prompt_key


@dataclass(frozen=True, kw_only=True)
class JudgeProbe:
    """One question to the judge about a rollout's conclusion; a rollout without a text is not asked about.

    The judge sees the image, its hints and the words: no rating, no name of who wrote them. Equal words about an image
    are asked about under one seed, so that a judge with a memory grades them once.
    """

    prompt: JudgePrompt

    def sessions(self, rollout: Rollout) -> list[QuestionSession]:
        """The question, or nothing."""
        last = rollout.steps[-1]
        words = conclusion(last.generation.text)
        if not words:
            return []
        prompt = self.prompt.messages(Sample(rollout.example, (_image_of(rollout),)), words)
        key = prompt_key(prompt)
        request = Request(
            key=f"{last.request.key}/{JUDGE}",
            prompt_key=key,
            prompt=prompt,
            seed=derive_seed(JUDGE, key),
            speaker=JUDGE,
        )
        return [QuestionSession(example=rollout.example, index=rollout.index, request=request, read=as_written)]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Who grades rollouts, how the question is put, and how the answer is drawn."""

    speaker: Speaker
    prompt: JudgePrompt
    sampling: SamplingParams

    @property
    def probe(self) -> JudgeProbe:
        """The question about each rollout."""
        return JudgeProbe(prompt=self.prompt)

    @contextmanager
    def opened(self, folder: Path, *, process: int) -> Iterator[Speaking]:
        """The judge at work; each process has its own memory and log in ``folder``, and so a budget of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{JUDGE}_{process}" if process else JUDGE
        with self.speaker.opened(folder, name=name, sampling=self.sampling) as speaking:
            yield Speaking(speaking.engine, lambda: {k.removeprefix(f"{name}_"): v for k, v in speaking.cost().items()})


def _image_of(rollout: Rollout) -> ImagePart:
    """The image that its first prompt shows first."""
    parts = (part for message in rollout.steps[0].request.prompt for part in message.parts)
    return next(part for part in parts if isinstance(part, ImagePart))
