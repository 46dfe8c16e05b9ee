"""An engine whose texts are written down and whose log-probabilities are the policy's: crops, valid answers and ratings
that vary, from a policy that could write none of them. Configs name it as ``support.written_engine.WrittenEngine``.
"""

from __future__ import annotations

import zlib

import torch

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.targets import CHOICES
from zoom_iqa.base.types import Generation, Request
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache

SECTIONS = {
    "turn1": ("Quality", "Improve", "Avoid", "Decision"),
    "turn2": ("Crop", "Improve", "Avoid", "Final"),
    "described": ("Quality",),
}  # those of prompts=compact


def written(turn: str, *, rating: float, crop: bool) -> str:
    """A text in the format of prompts=compact."""
    box = "0.1, 0.2, 0.7, 0.8" if crop else "0, 0, 0, 0"
    tool = "crop" if crop else "final"
    thought = "\n".join(f"{name}: x" for name in SECTIONS[turn])
    return f'<think>{thought}</think><answer>{{"bbox_2d": [{box}], "rating": {rating:.2f}, "tool": "{tool}"}}</answer>'


class WrittenEngine:
    """Answers everything that waits at once. Of two texts that follow from the seed, the policy says the likelier."""

    def __init__(self, *, policy: Policy, sampling: SamplingParams, features: VisionCache) -> None:
        self.sampling = sampling
        self._policy = policy
        self._score = Likelihood(policy=policy, temperature=sampling.temperature, features=None, logit_chunk=256)
        self._waiting: list[Request] = []

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    def refresh(self) -> None:
        pass

    def release(self) -> None:
        pass

    def number(self, request: Request) -> int:
        """What the candidates follow from."""
        return request.seed

    def texts(self, request: Request) -> tuple[str, str]:
        """The candidates."""
        return candidates(request, self.number(request))

    @torch.no_grad()
    def step(self) -> list[Generation]:
        requests, self._waiting = self._waiting, []
        if not requests:
            return []
        texts = [text for request in requests for text in self.texts(request)]
        ids = [self._policy.completion_ids(text) for text in texts]
        prompts = {request.prompt_key: self._policy.encode(request.prompt) for request in requests}
        keys = [request.prompt_key for request in requests for _ in range(2)]
        samples = [PromptCompletion(prompts[key], key, torch.tensor(row)) for key, row in zip(keys, ids, strict=True)]
        scores = self._score(samples, entropy=True, select_S=None)
        lengths = [len(row) for row in ids]
        logp, entropy = scores.logp_T.split(lengths), scores.entropy_T.split(lengths)
        likelier = [k if logp[k].sum() >= logp[k + 1].sum() else k + 1 for k in range(0, len(ids), 2)]
        return [
            Generation(
                request.key, texts[k], tuple(ids[k]), tuple(logp[k].tolist()), tuple(entropy[k].tolist()), "stop"
            )
            for request, k in zip(requests, likelier, strict=True)
        ]


class WordyEngine(WrittenEngine):
    """Candidates that differ in their thoughts too."""

    def texts(self, request: Request) -> tuple[str, str]:
        number = self.number(request)
        first, second = candidates(request, number)
        return first.replace(": x\n", f": {number % 1000}\n"), second.replace(": x\n", f": {number // 1000 % 1000}\n")


class KeyedEngine(WrittenEngine):
    """The same answers for an image wherever and whenever it is asked for: seeds differ between processes."""

    def number(self, request: Request) -> int:
        *names, _, rollout, turn = request.key.split("/")  # what is left out is the seed
        return zlib.crc32("/".join([*names, rollout, turn]).encode())


class ComparingEngine(WrittenEngine):
    """Answers of task=compare: every seventh cannot be read."""

    def texts(self, request: Request) -> tuple[str, str]:
        number = self.number(request)
        choices = [*CHOICES, "neither"] if number % 7 == 0 else CHOICES
        words = choices[number % len(choices)], choices[(number // 7) % len(choices)]
        return tuple(f"<think>x</think><answer>{word}</answer>" for word in words)  # type: ignore[return-value]


class ChainEngine(WrittenEngine):
    """Texts of chains: none, one or two looks, by the rollout's number, then an answer with evidence."""

    def texts(self, request: Request) -> tuple[str, str]:
        number, turn = self.number(request), int(request.key.rpartition("turn")[2])
        looks = int(request.key.split("/")[-2]) % 3
        return chain_text(turn <= looks, number // 2), chain_text(turn <= looks, number // 1000)


class DescribedChainEngine(ChainEngine):
    """Of chains, and of a description's rating alone."""

    def texts(self, request: Request) -> tuple[str, str]:
        if not request.key.endswith("described"):
            return super().texts(request)
        number = self.number(request)
        first, second = (1 + number // part % 401 / 100 for part in (2, 1000))
        return tuple(f'<think>x</think><answer>{{"rating": {rating:.2f}}}</answer>' for rating in (first, second))  # type: ignore[return-value]


class KeyedChainEngine(DescribedChainEngine, KeyedEngine):
    """Chains that are the same for an image in whichever process it is asked about."""


def chain_text(looks: bool, number: int) -> str:
    """A turn that looks at one of two places, or an answer."""
    box = ("[0.0, 0.0, 0.5, 0.5]", "[0.4, 0.4, 1.0, 1.0]")[number % 2]
    if looks:
        return f'<think>maybe blur</think><zoom>{{"bbox_2d": {box}, "look_for": "blur"}}</zoom>'
    evidence = f'{{"bbox_2d": {box}, "defect": "blur", "severity": "clear"}}'
    return f'<think>blur</think><answer>{{"rating": {1 + number % 401 / 100:.2f}, "evidence": [{evidence}]}}</answer>'


def candidates(request: Request, number: int) -> tuple[str, str]:
    """Two texts with different ratings; every second first turn asks for a crop."""
    turn = request.key.rpartition("/")[2]
    crop = turn == "turn1" and number % 2 == 0
    first, second = 1 + (number // 2) % 401 / 100, 1 + (number // 1000) % 401 / 100
    return written(turn, rating=first, crop=crop), written(turn, rating=second, crop=crop)
