"""A generator whose faults are known, so that filters can be judged by them.

Of every image of the embedded set it writes one trajectory, as `RationaleWriter` does, of a fate that is drawn:

- sound: about the true defect, with a rating that scatters around the label;
- ungrounded: about another image of the split, which is what a generator writes that does not look;
- contradiction: the other way round, two points off: a damaged image is called free of defects, a good one severely
  damaged.

Asked again by VRF it answers from the image if it looks (sound, contradiction), and otherwise from the words alone: the
severity they name is worth the mean score of that severity. Both answers scatter by `spread`. Boxes that are seen again
stay, with a jitter; boxes that are not are drawn anew.
As HACF's rater it reads the hints and the words in the prompt, and fails a text whose severity is worth more than
`LIMIT` points more or less than the mean opinion score; a share of its verdicts is wrong.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Example, Generation, Region, Request, TextPart, Truth
from zoom_iqa.data.datasets import ImageBenchmark
from zoom_iqa.data.supervised.boxes import shown_as, written
from zoom_iqa.data.supervised.rationales import RationaleWriter, severity_of
from zoom_iqa.data.supervised.two_turns import written_rating
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.engines.speaker import Speaking
from zoom_iqa.tasks.task import derive_seed

LIMIT = 1.25
"""Points; the rater's tolerance."""
OFF = 2.0
"""Points by which a contradiction rates off."""
FLAWLESS = "no defect"
_WORDS = re.compile(r"\b(no defect|nothing|faint|mild|clear|strong|severe)\b")
_MOS = re.compile(r"MOS: ([0-9.]+)")
_BOX = re.compile(r'"bbox_2d": \[([0-9., ]+)\]')
_SENTENCE = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)


class FaultyGenerator:
    """A speaker; ``fates`` and ``opinions`` say what it has written of each image, by name."""

    def __init__(
        self,
        *,
        benchmark: ImageBenchmark,
        split: str,
        writer: RationaleWriter,
        shares: Mapping[str, float],
        opinion: float,
        spread: float,
        rater_error: float,
        seed: int,
    ) -> None:
        images = benchmark.images(split, max_pixels=None, upright=True, size=None)
        items = [images[index].example for index in range(len(images))]  # only a picture that is made knows its truth
        self._spread, self._error, self._seed = spread, rater_error, seed
        self.identity = f"faulty {dict(shares)} opinion {opinion} spread {spread} rater_error {rater_error}"
        self._worth = worth_of_words(items)
        names, weights = list(shares), np.array(list(shares.values()))
        self.fates: dict[str, str] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._items = {item.name: item for item in items}
        for item in items:
            rng = self._rng(item.name, "write")
            fate = str(rng.choice(names, p=weights / weights.sum()))
            truth, mos = _claimed(item, fate, items, opinion, rng)
            self.fates[item.name] = fate
            self._texts[item.name] = writer.write(truth, mos, rng).texts

    @contextmanager
    def opened(self, folder: Path, *, name: str, sampling: SamplingParams) -> Iterator[Speaking]:
        """Its engine; nothing is kept."""
        yield Speaking(_WithoutProbabilities(script=self._say, sampling=sampling, policy=None), dict)

    def _say(self, request: Request) -> str:
        name, _, rest = request.key.partition("/")
        if rest.endswith("turn1") or rest.endswith("turn2"):
            return self._texts[name][int(rest[-1]) - 1]
        if rest.endswith("hacf"):
            return self._verdict(name, _text_of(request))
        return self._again(name, with_image=rest.endswith("/with"))

    def _again(self, name: str, *, with_image: bool) -> str:
        """An answer to a question of VRF."""
        rng = self._rng(name, f"again {with_image}")
        fate, first = self.fates[name], self._texts[name][0]
        looks = with_image and fate != "ungrounded"
        rating = self._items[name].mos if looks else self._implied(first)
        box = _box_of(first)
        if box is None:
            corners, tool = "0, 0, 0, 0", "final"
        else:
            kept = looks or fate == "ungrounded"
            corners, tool = shown_as(_jittered(box, rng) if kept else _anywhere(rng), decimals=1), "crop"
        said = written_rating(rating + self._spread * rng.standard_normal())
        return f'<answer>{{"bbox_2d": [{corners}], "rating": {said}, "tool": "{tool}"}}</answer>'

    def _verdict(self, name: str, prompt: str) -> str:
        rng = self._rng(name, "rate")
        hint = _MOS.search(prompt)
        assert hint is not None, "the rater is told the mean opinion score"
        mos = float(hint[1])
        rows = _SENTENCE.findall(prompt) if "numbered sentence" in prompt else []
        if rows:
            return "\n".join(f'<sentence n="{n}">{self._passes(text, mos, rng)}</sentence>' for n, text in rows)
        written_part = prompt.partition("This was written:")[2].partition("Fail it")[0]
        return f"<verdict>{self._passes(written_part, mos, rng)}</verdict>"

    def _passes(self, text: str, mos: float, rng: np.random.Generator) -> str:
        claims = _WORDS.findall(text)
        agrees = not claims or abs(self._worth[claims[-1]] - mos) <= LIMIT
        return "Pass" if agrees != (rng.random() < self._error) else "Fail"

    def _implied(self, text: str) -> float:
        claims = _WORDS.findall(text)
        return self._worth[claims[0]] if claims else self._worth["all"]

    def _rng(self, *parts: Any) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self._seed, *parts))


class _WithoutProbabilities(ScriptedEngine):
    """As most servers answer: VRF's entropy test has nothing to compare."""

    def step(self) -> list[Generation]:
        return [replace(made, token_ids=None, logprobs=None, entropies=None) for made in super().step()]


def worth_of_words(items: Any) -> dict[str, float]:
    """The mean score of the images that a severity word is true of; of none, that of all."""
    by_word: dict[str, list[float]] = {}
    for item in items:
        word = FLAWLESS if item.truth.distortion is None else severity_of(item.truth)
        by_word.setdefault(word, []).append(item.mos)
    worth = {word: statistics.fmean(found) for word, found in by_word.items()}
    worth["nothing"] = worth[FLAWLESS]
    return {**worth, "all": statistics.fmean(item.mos for item in items)}


def _claimed(item: Example, fate: str, items: Any, opinion: float, rng: np.random.Generator) -> tuple[Truth, float]:
    """The defect and the score that a text is written about."""
    assert item.truth is not None, "the embedded set knows what it made"
    if fate == "ungrounded":
        other = items[int(rng.integers(len(items)))]
        return other.truth, other.mos
    if fate == "sound":
        return item.truth, item.mos + opinion * rng.standard_normal()
    if item.mos < 3:
        return Truth(distortion=None, level=0.0, region=None), item.mos + OFF
    distortion = item.truth.distortion or "gaussian_blur"
    return Truth(distortion=distortion, level=5.0, region=item.truth.region), item.mos - OFF


def _text_of(request: Request) -> str:
    return "".join(part.text for message in request.prompt for part in message.parts if isinstance(part, TextPart))


def _box_of(text: str) -> Region | None:
    found = _BOX.search(text)
    assert found is not None, "every answer has a box"
    x1, y1, x2, y2 = (float(edge) for edge in found[1].split(","))
    return (x1, y1, x2, y2) if x1 < x2 else None


def _jittered(box: Region, rng: np.random.Generator) -> Region:
    x1, y1, x2, y2 = (float(edge) for edge in np.clip(np.add(box, rng.uniform(-0.05, 0.05, size=4)), 0.0, 1.0))
    return written((x1, y1, x2, y2), decimals=1)


def _anywhere(rng: np.random.Generator) -> Region:
    x, y = rng.uniform(0.0, 0.5, size=2)
    return written((float(x), float(y), float(x) + 0.5, float(y) + 0.5), decimals=1)
