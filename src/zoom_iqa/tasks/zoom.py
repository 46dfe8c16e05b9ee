"""The two-turn protocol of Zoom-IQA (arXiv 2601.02918): rate, crop when unsure, look closer, rate again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from zoom_iqa.base.types import (
    Ending,
    Generation,
    ImagePart,
    Reading,
    Request,
    Sample,
    Step,
    ToolCall,
)
from zoom_iqa.tasks.prompts import PromptSet, build_turn1, build_turn2
from zoom_iqa.tasks.reading import read_zoom_turn
from zoom_iqa.tasks.sessions import TurnSession, WordedTask
from zoom_iqa.tasks.task import Given
from zoom_iqa.tasks.tools.crop import Crop, crop_box, cut

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TURNS = 2


class ZoomRules(Protocol):
    """The reading of a turn, and the crop that a call for a closer look shows."""

    def read(self, text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
        """Rating, crop call, format and places of digits of one turn; ``final_only`` is the second turn's rule."""
        ...

    def crop(self, image: Image, call: ToolCall) -> Crop:
        """The crop that a call asks for, or why there is none."""
        ...


class StrictRules:
    """Every key of an answer must be as the prompt asks for it; what the release takes beside that is refused."""

    def read(self, text: str, *, sections: Sequence[str], final_only: bool) -> Reading:
        """See ``read_zoom_turn``."""
        return read_zoom_turn(text, sections=sections, final_only=final_only)

    def crop(self, image: Image, call: ToolCall) -> Crop:
        """The box by the crop policy, enlarged to the image's size."""
        box = crop_box(call.bbox, *image.size)
        return Crop.of(cut(image, box), box, whole=image.size)


class ZoomTask(WordedTask):
    """Rates one image in at most two turns under one of the question wordings of ``prompts``."""

    gives: frozenset[Given] = frozenset({"looks", "ratings"})
    rules: ZoomRules = StrictRules()

    def __init__(self, *, prompts: PromptSet) -> None:
        self.prompts = prompts

    @property
    def questions(self) -> Sequence[str]:
        """The wordings."""
        return self.prompts.questions

    def session(self, sample: Sample, *, index: int, question: str, seed: int) -> ZoomSession:
        """The two turns about the image."""
        return ZoomSession(
            sample=sample, index=index, question=question, prompts=self.prompts, rules=self.rules, seed=seed
        )


class ZoomSession(TurnSession):
    """Drives the two-turn protocol for one rollout.

    Turn 1 shows the image; if its answer asks for a crop, turn 2 shows image and crop in a rebuilt conversation. An
    answer from which the next turn cannot be read ends the trajectory, and its reason is the rollout's ending; so does
    a crop that cannot be shown, and the first rating counts.
    """

    def __init__(
        self, *, sample: Sample, index: int, question: str, prompts: PromptSet, rules: ZoomRules, seed: int
    ) -> None:
        super().__init__(example=sample.example, index=index)
        self._sample, self._question, self._prompts, self._rules, self._seed = sample, question, prompts, rules, seed
        self._pending = self._request(build_turn1(prompts, question=question, image=sample.images[0]), seed=seed)

    def _answered(self, request: Request, generation: Generation) -> None:
        number = len(self._steps) + 1
        reading = self._rules.read(
            generation.text, sections=self._prompts.sections(number), final_only=number == MAX_TURNS
        )
        crop = self._crop(reading) if number < MAX_TURNS else None
        looks = () if crop is None else (crop.look,)
        self._steps.append(Step(request, generation, reading, looks))
        if crop is not None and crop.image is not None:
            self._pending = self._request_turn2(generation.text, crop.image)

    def _crop(self, reading: Reading) -> Crop | None:
        """The crop that a first turn asks for, if it does; sets the ending if that cannot be told or shown."""
        if reading.call_failure is not None:
            self._ending = Ending(reading.call_failure.reason)
        if not reading.calls:
            return None
        crop = self._rules.crop(self._sample.image, reading.calls[0])
        if crop.image is None:
            self._ending = Ending.UNVIEWABLE
        return crop

    def _request_turn2(self, turn1_output: str, crop: Image) -> Request:
        prompt = build_turn2(
            self._prompts,
            question=self._question,
            turn1_output=turn1_output,
            image=self._sample.images[0],
            crop=ImagePart.of(crop),
        )
        return self._request(prompt, seed=self._seed)
