"""Synthetic references: texts about embedded images as people might write them, made from what is known of each.

Nobody wrote them. Each image has one of each of three voices, in wordings of their own: neither those of the texts that
fine-tuning teaches, nor each other's. One voice knows the name of a flaw, as some people do; the others say what they
see. They exercise the reward for human text where no human text is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zoom_iqa.base.defects import DEFECTS
from zoom_iqa.base.types import Example

Phrases = tuple[str, str]
"""Two ways to say it."""

SEEN: dict[str, Phrases] = {
    "gaussian_blur": ("everything looks a bit hazy", "the outlines melt into each other"),
    "lens_blur": ("the camera was set to the wrong distance", "it is not focused on anything"),
    "motion_blur": ("the hand must have shaken", "things are smeared sideways"),
    "color_diffusion": ("colour has run over the outlines", "the tints leak out of the objects"),
    "color_shift": ("there are red and green rims around things", "the tints do not sit where the objects are"),
    "color_quantization": ("there are too few tints", "the tints come in lumps like a poster"),
    "color_saturation_1": ("it is nearly grey", "the tints look tired and pale"),
    "color_saturation_2": ("the tints scream", "it is far too colourful to be true"),
    "jpeg2000": ("the small things are wiped out", "there are ripples around the outlines"),
    "jpeg": ("you can see little squares", "it looks like a file saved too small"),
    "white_noise": ("it is full of sand", "there is a crackle over the whole picture"),
    "white_noise_color_component": ("there are coloured dots like confetti", "the dark parts sparkle in many tints"),
    "impulse_noise": ("salt and pepper lie on it", "single dots are black or white"),
    "multiplicative_noise": ("the light parts are rough", "the sky is sandy"),
    "denoise": ("it looks painted", "skin and leaves look like plastic"),
    "brighten": ("it is much too bright", "the light parts are burnt out"),
    "darken": ("it is too dark to see much", "the shade swallows everything"),
    "mean_shift": ("the brightness is off", "somebody turned the lightness the wrong way"),
    "jitter": ("the outlines are frayed", "it looks seen through rippled water"),
    "non_eccentricity_patch": ("small pieces are in the wrong spot", "bits are pasted over it"),
    "pixelate": ("it is made of big squares", "it was blown up from a thumbnail"),
    "quantization": ("there are steps in the sky", "smooth parts break into stripes"),
    "color_block": ("squares of one colour cover it", "tiles are stuck on the picture"),
    "high_sharpen": ("every outline has a white rim", "it looks harsh and scratchy"),
    "contrast_change": ("light and dark do not fit", "it is either flat or too hard"),
}
"""A lay person's words for each of KADID-10k's distortions."""

PLEASING: tuple[str, ...] = (
    "the subject is well chosen",
    "the framing is pleasant",
    "you can tell at once what it is",
    "the light on the subject is attractive",
    "it is nicely arranged",
)
LITTLE: tuple[str, ...] = ("hardly anything", "only the idea", "not much to like")
FAULTLESS: tuple[str, ...] = ("nothing to complain about", "no fault that I can find", "I would not change a thing")
LIKED = 2.5
"""The score from which a voice finds something to praise."""

HOW_MUCH = ("a touch", "slightly", "clearly", "badly", "hopelessly")
"""By the level of a distortion from 1 to 5."""

_PLAIN_PREFIXES = ("wildlife", "place", "animal", "farm", "music", "leaves")


@dataclass(frozen=True)
class Flaw:
    """The flaw that a person sees: KADID-10k's name of it, its level on 1-5, and whether it is in one part only."""

    distortion: str
    level: float
    local: bool


def synthetic_references(example: Example, photograph: str, *, procedural: bool, flaw: Flaw | None) -> tuple[str, ...]:
    """One text of each voice about an image; they follow from its name and what is wrong with it, if anything is."""
    rng = np.random.default_rng(list(hashlib.blake2b(example.name.encode(), digest_size=8).digest()))
    subject = "a heap of overlapping shapes" if procedural else _subject(photograph)
    good = _pick(PLEASING if example.mos >= LIKED else LITTLE, rng)
    return tuple(voice(subject, good, flaw, rng) for voice in VOICES)


def _brief(subject: str, good: str, flaw: Flaw | None, rng: np.random.Generator) -> str:
    return f"{subject}. {good}. {_seen(flaw, rng)}."


def _plain(subject: str, good: str, flaw: Flaw | None, rng: np.random.Generator) -> str:
    if flaw is None:
        return f"This shows {subject}. I like that {good}. As for flaws, {_seen(flaw, rng)}."
    where = " in one part" if flaw.local else ""
    return f"This shows {subject}. I like that {good}. Sadly there is {DEFECTS[flaw.distortion].noun}{where}."


def _talkative(subject: str, good: str, flaw: Flaw | None, rng: np.random.Generator) -> str:
    if flaw is None:
        ending = f"And really, {_seen(flaw, rng)}."
    elif flaw.local:
        ending = f"But one spot is {_how_much(flaw)} spoilt: {_seen(flaw, rng)}. The rest is fine."
    else:
        ending = f"The picture is {_how_much(flaw)} spoilt, because {_seen(flaw, rng)}."
    return f"Somebody wanted to keep {subject} and one sees why, {good}. {ending}"


VOICES: Sequence[Callable[[str, str, Flaw | None, np.random.Generator], str]] = (_brief, _plain, _talkative)


def _seen(flaw: Flaw | None, rng: np.random.Generator) -> str:
    return _pick(FAULTLESS if flaw is None else SEEN[flaw.distortion], rng)


def _how_much(flaw: Flaw) -> str:
    return HOW_MUCH[int(np.clip(round(flaw.level), 1, 5)) - 1]


def _subject(photograph: str) -> str:
    """The name of a photograph in words: wildlife_red_panda is a red panda."""
    words = [word for word in photograph.split("_") if not word.isdigit()]
    return " ".join(words[1:] if words[0] in _PLAIN_PREFIXES and len(words) > 1 else words)


def _pick(wordings: Sequence[str], rng: np.random.Generator) -> str:
    return wordings[int(rng.integers(len(wordings)))]
