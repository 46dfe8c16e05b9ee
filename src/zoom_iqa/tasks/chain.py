"""A chain of looks at one image: zoom wherever something may be wrong, as often as it takes, then rate with evidence.

After the abstract of Q-DeepSight (arXiv 2604.16858): interleaved crop-and-zoom that finds out where quality degrades
and why. Only the abstract is public, so that the mechanics are ours: a growing conversation, calls and answers as
``chain_reading`` says, crops from the original image, refusals as text, limits on turns and crops, typed endings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.ranges import require_whole
from zoom_iqa.base.types import (
    Ending,
    Generation,
    ImagePart,
    Message,
    Reading,
    Request,
    Sample,
    Step,
    TextPart,
    ToolCall,
)
from zoom_iqa.tasks.chain_reading import read_chain_turn
from zoom_iqa.tasks.prompts import QUESTION_SLOT, distinct_texts, require_slot, require_text
from zoom_iqa.tasks.sessions import TurnSession, WordedTask
from zoom_iqa.tasks.task import Given
from zoom_iqa.tasks.tools.crop import Crop
from zoom_iqa.tasks.tools.zoom import refused, zoom

NUMBER_SLOT, REASON_SLOT = "{number}", "{reason}"
_SLOTS = {"first": (QUESTION_SLOT,), "shown": (NUMBER_SLOT,), "refused": (NUMBER_SLOT, REASON_SLOT)}


@dataclass(frozen=True, kw_only=True)
class ChainPrompts:
    """Every text of a chain: ours, after the abstract of Q-DeepSight.

    ``first`` holds ``{question}``. Of a reply to calls, ``shown`` with its ``{number}`` stands before a crop and
    ``refused`` with ``{number}`` and ``{reason}`` in place of one that is not shown, numbered through the chain; then
    comes ``go_on``, or ``last`` before the last turn. ``terse`` says that the answers wanted are single clauses with
    coordinates of one decimal.

    Raises:
        ConfigError: a text is empty or lacks a slot, or a question occurs twice.
    """

    questions: Sequence[str]
    first: str
    shown: str
    refused: str
    go_on: str
    last: str
    terse: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "questions", distinct_texts("questions", self.questions))
        for name in ("first", "shown", "refused", "go_on", "last"):
            text = getattr(self, name)
            require_text(name, text)
            for slot in _SLOTS.get(name, ()):
                require_slot(name, text, slot)


class ChainTask(WordedTask):
    """Rates one image in at most ``max_turns`` turns with at most ``max_crops`` crops.

    Crops are enlarged by ``enlarge`` as far as they stay within the image's size.

    Raises:
        ConfigError: a number is too small.
    """

    gives: frozenset[Given] = frozenset({"looks", "evidence", "ratings"})

    def __init__(self, *, prompts: ChainPrompts, max_turns: int, max_crops: int, enlarge: float) -> None:
        require_whole("task.max_turns", max_turns, least=1)
        require_whole("task.max_crops", max_crops, least=1)
        if not enlarge >= 1:
            raise ConfigError(f"task.enlarge={enlarge} must be 1 (as it is) or more")
        self.prompts, self.max_turns, self.max_crops, self.enlarge = prompts, max_turns, max_crops, enlarge

    @property
    def questions(self) -> Sequence[str]:
        """The wordings."""
        return self.prompts.questions

    def session(self, sample: Sample, *, index: int, question: str, seed: int) -> ChainSession:
        """The chain of looks at the image."""
        return ChainSession(task=self, sample=sample, index=index, question=question, seed=seed)


class ChainSession(TurnSession):
    """One conversation; each turn's prompt is the one before, the text that answered it, and a reply with the crops.

    An answer ends it, whatever else its turn holds: FINAL, or the reason for which its rating cannot be read. A turn
    with neither a call nor an answer ends it as MISSING_ANSWER, or as LENGTH where it was cut. Calls in the last turn,
    which was asked for the answer, end it as TURN_LIMIT and are not well formed. A call that is malformed, outside the
    image or over the limit is refused by text, and the chain goes on.
    """

    def __init__(self, *, task: ChainTask, sample: Sample, index: int, question: str, seed: int) -> None:
        super().__init__(example=sample.example, index=index)
        self._task, self._sample, self._seed = task, sample, seed
        self._calls = self._shown = 0
        text = task.prompts.first.replace(QUESTION_SLOT, question)
        self._pending = self._request((Message("user", (TextPart(text), sample.images[0])),), seed=seed)

    def _answered(self, request: Request, generation: Generation) -> None:
        reading = read_chain_turn(generation.text)
        ending = self._ending_of(reading, generation)
        if ending is Ending.TURN_LIMIT:
            reading = replace(reading, well_formed=False)
        crops = [self._crop(call, ending) for call in reading.calls]
        self._steps.append(Step(request, generation, reading, tuple(crop.look for crop in crops)))
        if ending is None:
            reply = self._reply(crops)
            self._pending = self._request((*request.prompt, _said(generation.text), reply), seed=self._seed)
        else:
            self._ending = ending

    def _ending_of(self, reading: Reading, generation: Generation) -> Ending | None:
        """Why this turn is the last one, None where it is not."""
        if reading.failure is None:
            return Ending.FINAL
        if reading.failure.reason != "missing_answer":
            return Ending(reading.failure.reason)
        if not reading.calls:
            return Ending.LENGTH if generation.finish == "length" else Ending.MISSING_ANSWER
        return Ending.TURN_LIMIT if len(self._steps) + 1 == self._task.max_turns else None

    def _crop(self, call: ToolCall, ending: Ending | None) -> Crop:
        """The outcome of a call in a turn that ends the chain so, or does not end it."""
        if ending is not None:
            return refused("no turn is left" if ending is Ending.TURN_LIMIT else "the turn answers")
        if self._shown == self._task.max_crops:
            return refused(f"no more than {self._task.max_crops} zooms are shown")
        crop = zoom(self._sample.image, call, enlarge=self._task.enlarge)
        self._shown += crop.image is not None
        return crop

    def _reply(self, crops: Sequence[Crop]) -> Message:
        prompts = self._task.prompts
        parts: list[TextPart | ImagePart] = []
        for crop in crops:
            self._calls += 1
            text = prompts.shown if crop.image is not None else prompts.refused
            text = text.replace(NUMBER_SLOT, str(self._calls)).replace(REASON_SLOT, crop.look.refusal or "")
            parts += [TextPart(text)] if crop.image is None else [TextPart(text), ImagePart.of(crop.image)]
        before_last = len(self._steps) + 1 == self._task.max_turns
        return Message("user", (*parts, TextPart(prompts.last if before_last else prompts.go_on)))


def _said(text: str) -> Message:
    return Message("assistant", (TextPart(text),))
