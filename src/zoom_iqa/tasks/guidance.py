"""Directions and issues -> the prompts that a text-guided restorer takes: within its budget, no sentence cut.

Directions for Improvement use positive words only and Issues to Avoid negative ones only (Zoom-IQA, arXiv 2601.02918),
so that the first are a restorer's prompt and the second its negative prompt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

CountTokens = Callable[[str], int]
"""Tokens of a text without those that begin and end it."""

LETTERS_A_TOKEN = 4
INSTRUCTION = "Restore this photograph and keep its content as it is:"
TRUE_CFG = 2.0
"""Any value above 1 makes a pipeline look at the negative prompt; it then does the work twice."""

_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bSt\.)(?<!\bNo\.)(?<!\bvs\.)[^\S\n]+|\n+")
_PIECES = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")
_FAULT = r"(?:defect|issue|flaw|fault|problem|art[ei]fact|distortion)s?"
_NOTHING = re.compile(rf"(?:n/a|none|nothing\b.*|(?:there (?:is|are) )?no(?: \w+){{0,3}} {_FAULT}\b.*)?")
_BUT_FOR = re.compile(r"\b(?:but|except|besides|apart|other than|only|beyond|though|although|however|while|yet)\b")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The kind of prompts a restorer takes, in three flags, and the call that takes them.

    ``negative`` is whether it takes a negative prompt, or takes one with true classifier-free guidance only. ``budget``
    is the tokens of its text encoder that are free for text; None is no limit. ``instruction`` is true of editors that
    are told what to do, false of generators that are told what to show. ``call`` holds ``{prompt}``, ``{negative}`` and
    ``{image}``, each a Python literal; ``pipeline`` is the class of diffusers that it is about, if it is of diffusers.
    """

    negative: Literal["yes", "no", "true_cfg"]
    budget: int | None
    instruction: bool
    call: str | None
    pipeline: str | None = None


CLIP = 75
"""77 of CLIP's text encoder, of which two begin and end the text."""

_PIPELINE = 'pipe = {pipeline}.from_pretrained("FOLDER")\n'
_ASK = "pipe(image=Image.open({image}), prompt={prompt}{negative}).images[0]"


def _of_diffusers(pipeline: str, *, negative: Literal["yes", "true_cfg"], budget: int, instruction: bool) -> Target:
    call = _PIPELINE.replace("{pipeline}", pipeline) + _ASK
    return Target(negative=negative, budget=budget, instruction=instruction, call=call, pipeline=pipeline)


TARGETS: dict[str, Target] = {
    # SUPIR appends p_p to the prompt before it is encoded: its default would push ours out of the budget.
    "supir": Target(
        negative="yes",
        budget=CLIP,
        instruction=False,
        call='model.batchify_sample(image_tensor_of({image}), [{prompt}], p_p=""{negative})',
    ),
    # T5 ends a text with one token; tools/extract_t5_features.py reads the first line of a file of the image's name.
    "dreamclear": Target(
        negative="no",
        budget=119,
        instruction=False,
        call='(Path("captions") / Path({image}).with_suffix(".txt").name).write_text({prompt})',
    ),
    "sd-upscale": _of_diffusers("StableDiffusionUpscalePipeline", negative="yes", budget=CLIP, instruction=False),
    "flux-kontext": _of_diffusers("FluxKontextPipeline", negative="true_cfg", budget=511, instruction=True),
    "qwen-edit": _of_diffusers("QwenImageEditPipeline", negative="true_cfg", budget=511, instruction=True),
    "plain": Target(negative="yes", budget=None, instruction=False, call=None),
}


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A text of whole sentences, its tokens, and the sentences for which there was no room."""

    text: str
    tokens: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """The prompts for a target; ``negative`` is None where it takes none."""

    target: Target
    prompt: Prompt
    negative: Prompt | None

    def arguments(self) -> dict[str, str | float]:
        """The keywords of a diffusers pipeline's call, without the image."""
        given: dict[str, str | float] = {"prompt": self.prompt.text}
        if self.negative is not None and self.negative.text:
            given["negative_prompt"] = self.negative.text
            if self.target.negative == "true_cfg":
                given["true_cfg_scale"] = TRUE_CFG
        return given

    def call(self, image: str) -> str | None:
        """The Python that hands the prompts over for the file ``image``; None where a target has none."""
        if self.target.call is None:
            return None
        given = self.arguments()
        negative = given.get("negative_prompt")
        keyword = "n_p" if self.target.pipeline is None else "negative_prompt"
        handed = "" if negative is None else f", {keyword}={_literal(str(negative))}"
        if "true_cfg_scale" in given:
            handed += f", true_cfg_scale={given['true_cfg_scale']}"
        return self.target.call.format(image=_literal(image), prompt=_literal(self.prompt.text), negative=handed)


def guidance(
    directions: Iterable[str], issues: Iterable[str], *, target: Target, count: CountTokens | None = None
) -> Guidance:
    """Prompts of the paragraphs of an answer, in order; a sentence that was said before is not said again.

    ``count`` counts tokens as the target's tokenizer does; None estimates them (``estimated_tokens``).
    """
    counted = count or estimated_tokens
    prefix = INSTRUCTION if target.instruction else ""
    prompt = _fitted(sentences(directions), prefix=prefix, budget=target.budget, count=counted)
    negative = None
    if target.negative != "no":
        negative = _fitted(sentences(issues), prefix="", budget=target.budget, count=counted)
    return Guidance(target=target, prompt=prompt, negative=negative)


def sentences(paragraphs: Iterable[str]) -> list[str]:
    """The sentences of paragraphs, each once; one that says there is nothing to say ("nothing, upper left"; "No defect
    stands out.") is left out: a restorer would be told to avoid it.
    """
    pieces = (piece.strip() for text in paragraphs for piece in _SENTENCE_END.split(text.strip()))
    first: dict[str, str] = {}
    for piece in pieces:
        key = " ".join(piece.casefold().rstrip(".!").split())
        if not _NOTHING.fullmatch(key) or _BUT_FOR.search(key):
            first.setdefault(key, piece)
    return list(first.values())


def estimated_tokens(text: str) -> int:
    """Tokens of an English text, rather too many than too few: a word has one for every four letters begun, and every
    digit and sign is one. ``experiments/guide_tokens`` compares it with CLIP's tokenizer.
    """
    return sum(math.ceil(len(piece) / LETTERS_A_TOKEN) for piece in _PIECES.findall(text))


def _fitted(found: Sequence[str], *, prefix: str, budget: int | None, count: CountTokens) -> Prompt:
    """As many sentences as fit, in order; one that does not is passed over, and a shorter one after it may fit."""
    taken: list[str] = []
    left_out: list[str] = []
    for sentence in found:
        if budget is None or count(_joined([prefix, *taken, sentence])) <= budget:
            taken.append(sentence)
        else:
            left_out.append(sentence)
    text = _joined([prefix, *taken]) if taken else ""
    return Prompt(text=text, tokens=count(text), left_out=tuple(left_out))


def _joined(parts: Sequence[str]) -> str:
    """Sentences after each other; clauses without a full stop are an enumeration."""
    whole = [part for part in parts if part]
    ended = [part if part[-1] in ".!?:;," else f"{part}," for part in whole[:-1]]
    return " ".join([*ended, *whole[-1:]])


def _literal(text: str) -> str:
    """A Python literal of ASCII, which every terminal shows."""
    return '"' + "".join(f"\\{one}" if one in '"\\' else ascii(one)[1:-1] for one in text) + '"'
