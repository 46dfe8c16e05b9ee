"""The work of one optimizer step of a stage, on each GPU, and how it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoom_iqa.planning.shapes import PolicyShape


@dataclass(frozen=True, kw_only=True)
class Work:
    """``images`` a GPU and step with ``group`` answers each (1 in SFT), every turn's of ``new_tokens``.

    Turn 1 asks with ``prompt`` tokens, ``image_tokens`` of them the picture's, of which a group shares one copy; turn
    2 with ``second_prompt``, which quotes the first answer and so is each answer's own; 0 is no second turn.
    """

    images: int
    group: int
    prompt: int
    image_tokens: int
    second_prompt: int
    new_tokens: int

    @property
    def answers(self) -> int:
        """Trajectories of a step on a GPU."""
        return self.images * self.group

    @property
    def first_tokens(self) -> int:
        """Tokens of all first turns."""
        return self.images * self.prompt + self.answers * self.new_tokens

    @property
    def second_tokens(self) -> int:
        """Tokens of all second turns."""
        return self.answers * (self.second_prompt + self.new_tokens) if self.second_prompt else 0

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(self.prompt, self.second_prompt) + self.new_tokens


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A stage as it is planned: ``trained`` parameters, numbers of ``number_bytes``, budgets as under ``machine``.

    ``masters`` says that the optimizer keeps float32 masters and moments and shares them out over the GPUs; otherwise
    every GPU keeps two moments like the weights. ``cut`` says that weights and gradients are shared out too, and
    ``zero`` is the stage of DeepSpeed's ZeRO, 0 where it does not train.
    ``deepspeed`` is whether it would train on several.
    ``reference`` is a second copy of the policy, and ``accumulate`` the forward passes of ``work`` that a step adds up.
    Of a rollout ``epochs`` passes learn, in ``updates`` steps of the optimizer together; ``tower`` says that the vision
    tower learns, of which the parameters alone are planned.
    """

    stage: str
    shape: PolicyShape
    work: Work
    gpus: int
    trained: int
    adapters: bool
    number_bytes: int
    masters: bool
    cut: bool
    zero: int
    deepspeed: bool
    reference: bool
    samples: bool
    accumulate: int
    epochs: int
    updates: int
    tower: bool
    checkpointing: bool
    micro_batch_tokens: int
    token_budget: int
    logit_chunk: int
    keep_checkpoints: int
    steps: int | None

    @property
    def trainer(self) -> str:
        """The trainer that is planned: several GPUs need one that starts a process for each."""
        if self.gpus == 1:
            return "single_device"
        return f"deepspeed_zero{self.zero}" if self.zero else "fsdp" if self.cut else "ddp"

    @property
    def gradients_cut(self) -> bool:
        """Whether gradients are shared out: in ZeRO 2 they are, and weights are not."""
        return self.cut or self.zero == 2

    @property
    def forwarded(self) -> int:
        """Tokens of the largest forward pass of an update: runs of equal length, none longer than the budget."""
        whole = self.work.first_tokens + self.work.second_tokens
        if not self.samples:
            return whole
        runs = math.ceil(whole / max(self.micro_batch_tokens, self.work.longest))
        return max(math.ceil(whole / runs), self.work.longest)

    @property
    def held_tokens(self) -> int:
        """Tokens whose keys and values the engine holds at most: second turns that run, and all turns that are kept."""
        return min(self.work.first_tokens + 2 * self.work.second_tokens, self.token_budget)

    @property
    def prefilled(self) -> int:
        """Tokens of the largest prefill: first turns of equal length end together, and their second turns begin so."""
        second = self.work.answers * self.work.second_prompt
        return max(self.work.images * self.work.prompt, min(second, self.token_budget))
