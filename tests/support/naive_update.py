"""A policy update as explicit loops over steps, trajectories, turns and tokens through transformers' own forward.

It shares nothing with the code under test but the model: no packing, no cached features, no flat tokens.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from support.random_policy import build_random_policy
from support.written_rollouts import varied_advantages, written_groups
from zoom_iqa.base.types import Message, Rollout, RolloutGroup
from zoom_iqa.parallel.tensor_parts import part_like, part_of, whole
from zoom_iqa.policy.policy import Policy

IMAGES, GROUP = 2, 3
CLIP_LOW, CLIP_HIGH = 0.01, 0.02
RATE = 0.02
BETA, FRACTION = 0.7, 0.3

Rows = list[Tensor]
"""Log-probabilities (C, V) of each turn."""


@cache
def start_policy() -> Policy:
    return build_random_policy()


@cache
def reference_policy() -> Policy:
    return build_random_policy(seed=1)


@cache
def rollouts() -> tuple[RolloutGroup, ...]:
    return tuple(written_groups(start_policy(), images=IMAGES, group_size=GROUP))


def copied(policy: Policy) -> Policy:
    twin = copy.copy(policy)
    twin.model = copy.deepcopy(policy.model)
    return twin


@dataclass(frozen=True)
class Outcome:
    """What an update did: the gradient of every step, the weights after the last, and what it logged."""

    gradients: list[Tensor]
    weights: Tensor
    figures: dict[str, float]


def flat_gradient(policy: Policy) -> Tensor:
    parts = [torch.zeros(p.shape) if p.grad is None else whole(p.grad) for p in policy.model.parameters()]
    return torch.cat([part.flatten() for part in parts])


def flat_weights(policy: Policy) -> Tensor:
    return torch.cat([whole(p).flatten() for p in policy.model.parameters()])


def descend(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.model.parameters():
            if parameter.grad is not None:
                gradient = whole(parameter.grad)
                part_of(parameter).sub_(part_of(part_like(RATE * gradient / norm_of(gradient), parameter)))
                parameter.grad = None


def norm_of(gradient: Tensor) -> Tensor:
    """Steps of one length for every weight move the ratio out of the clip range within a few steps."""
    return gradient.norm().clamp(min=1e-3)


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@dataclass(frozen=True)
class NaiveToken:
    """One generated token as the loops see it; ``rows`` below index into the turn's distributions."""

    turn: int
    row: int
    token: int
    old_logp: float
    advantage: float
    weight: float
    numeric: bool


def distributions(policy: Policy, turn_prompt: Sequence[Message], ids: Sequence[int]) -> Tensor:
    """Log-probabilities (C, V) of one turn from transformers' forward over prompt and completion alone."""
    prompt = policy.encode(turn_prompt)
    tokens = torch.cat([prompt.ids_L, torch.tensor(ids)])[None]
    out = policy.model(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        pixel_values=torch.cat([image.pixels_PD for image in prompt.images]),
        image_grid_thw=torch.tensor([image.grid for image in prompt.images]),
        mm_token_type_ids=(tokens == policy.encoder.image_pad_id).int(),
    )
    logits = out.logits[0, len(prompt.ids_L) - 1 : -1]
    return logits.index_fill(1, torch.tensor(policy.banned_ids), -torch.inf).log_softmax(-1)


def naive_numeric(policy: Policy, ids: Sequence[int]) -> list[bool]:
    """Digits after the two keys, by their place in the text."""
    pieces = [policy.decode([i]) for i in ids]
    text = "".join(pieces)
    spans = [m.span(1) for m in re.finditer(r'"bbox_2d": \[([^\]]*)\]', text)]
    spans += [m.span(1) for m in re.finditer(r'"rating": ([0-9.]*)', text)]
    starts = [len("".join(pieces[:n])) for n in range(len(pieces))]
    return [
        piece.isdigit() and any(a <= start < b for a, b in spans) for piece, start in zip(pieces, starts, strict=True)
    ]


def naive_tokens(trajectories: Sequence[Rollout], advantages: Tensor, token_mean: bool) -> list[NaiveToken]:
    """The tokens of the trajectories of one optimizer step; turns are numbered over the step."""
    total = sum(len(turn.generation.token_ids) for rollout in trajectories for turn in rollout.steps)
    tokens, turn_number = [], 0
    for rollout, advantage in zip(trajectories, advantages, strict=True):
        own = sum(len(turn.generation.token_ids) for turn in rollout.steps)
        weight = 1 / total if token_mean else 1 / (len(trajectories) * own)
        for turn in rollout.steps:
            numeric = naive_numeric(start_policy(), turn.generation.token_ids)
            for row, token in enumerate(turn.generation.token_ids):
                old = turn.generation.logprobs[row]
                tokens.append(NaiveToken(turn_number, row, token, old, float(advantage), weight, numeric[row]))
            turn_number += 1
    return tokens


def most_covariant(tokens: list[NaiveToken], *, numeric_only: bool, fraction: float = FRACTION) -> list[NaiveToken]:
    mean_logp = sum(t.old_logp for t in tokens) / len(tokens)
    mean_advantage = sum(t.advantage for t in tokens) / len(tokens)
    candidates = [t for t in tokens if t.numeric or not numeric_only]
    ranked = sorted(candidates, key=lambda t: -(t.old_logp - mean_logp) * (t.advantage - mean_advantage))
    return ranked[: max(1, math.floor(fraction * len(candidates)))]


def covariance_between(tokens: list[NaiveToken], low: float, high: float) -> set[NaiveToken]:
    mean_logp = sum(t.old_logp for t in tokens) / len(tokens)
    mean_advantage = sum(t.advantage for t in tokens) / len(tokens)
    return {t for t in tokens if low <= (t.old_logp - mean_logp) * (t.advantage - mean_advantage) <= high}


def kl_over_vocabulary(anchor_V: Tensor, log_p_V: Tensor) -> Tensor:
    allowed = anchor_V > -torch.inf
    return (anchor_V[allowed].exp() * (anchor_V[allowed] - log_p_V[allowed])).sum()


def naive_penalty(name: str, tokens: list[NaiveToken], now: Rows, old: Rows, reference: Rows) -> Tensor:
    """Every penalty as its paper writes it, token by token."""
    zero = torch.zeros(())
    if name == "kl reference":
        for t in tokens:
            log_ratio = reference[t.turn][t.row, t.token] - now[t.turn][t.row, t.token]
            zero = zero + BETA * t.weight * (log_ratio.exp() - 1 - log_ratio)
    if name == "entropy":
        for t in tokens:
            log_p = now[t.turn][t.row]
            log_p = log_p[log_p > -torch.inf]
            zero = zero + 0.1 * t.weight * (log_p.exp() * log_p).sum()
    if name.startswith("coverage"):
        chosen = most_covariant(tokens, numeric_only=True, fraction=FRACTION / (2 if "half" in name else 1))
        anchors = old if "old" in name else reference
        for t in chosen:
            if "exact" in name:
                kl = kl_over_vocabulary(anchors[t.turn][t.row], now[t.turn][t.row])
            else:
                anchor, log_p = anchors[t.turn][t.row, t.token], now[t.turn][t.row, t.token]
                a, w = (anchor - t.old_logp).exp(), (log_p - t.old_logp).exp()
                kl = a * (anchor - log_p) - a + w
            zero = zero + BETA * kl / len(chosen)
    if name == "kl cov":
        for t in most_covariant(tokens, numeric_only=False):
            log_ratio = now[t.turn][t.row, t.token] - t.old_logp
            zero = zero + BETA * t.weight * (log_ratio.exp() - 1 - log_ratio)
    return zero


def naive_loss(
    names: str, tokens: list[NaiveToken], now: Rows, old: Rows, reference: Rows, dropped: Sequence[bool] = ()
) -> Tensor:
    """``names`` of filters and penalties, " + " between them; ``dropped`` are tokens that another filter drops."""
    parts = names.split(" + ")
    detached = covariance_between(tokens, 0.1, 1.0) if "clip cov" in parts else set()
    detached |= {t for t, out in zip(tokens, dropped, strict=False) if out}
    loss = torch.zeros(())
    for name in parts:
        loss = loss + naive_penalty(name, tokens, now, old, reference)
    for t in tokens:
        logp = now[t.turn][t.row, t.token]
        ratio = ((logp.detach() if t in detached else logp) - t.old_logp).exp()
        clipped = ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
        loss = loss - t.weight * torch.minimum(ratio * t.advantage, clipped * t.advantage)
    return loss


@cache
def anchor_distributions(which: str, trajectory: int) -> list[Tensor]:
    policy = start_policy() if which == "old" else reference_policy()
    flat = [rollout for group in rollouts() for rollout in group.rollouts]
    with torch.no_grad():
        return [distributions(policy, s.request.prompt, s.generation.token_ids) for s in flat[trajectory].steps]


def naive_update(
    names: str, *, epochs: int = 1, mini_batches: int = 1, token_mean: bool = False, dropped: Tensor | None = None
) -> Outcome:
    """``dropped`` tells of every generated token whether a filter that is not named drops it."""
    policy = copied(start_policy())
    trajectories = [rollout for group in rollouts() for rollout in group.rollouts]
    advantages = varied_advantages(len(trajectories))
    size = len(trajectories) // mini_batches
    gradients, losses = [], []
    for _ in range(epochs):
        met = 0  # tokens of the parts before
        for part in range(mini_batches):
            members = range(part * size, (part + 1) * size)
            own = [trajectories[n] for n in members]
            tokens = naive_tokens(own, advantages[part * size : (part + 1) * size], token_mean)
            old = [d for n in members for d in anchor_distributions("old", n)]  # before the first step
            reference = [d for n in members for d in anchor_distributions("reference", n)]
            now = [distributions(policy, s.request.prompt, s.generation.token_ids) for r in own for s in r.steps]
            out = [] if dropped is None else dropped[met : met + len(tokens)].tolist()
            met += len(tokens)
            loss = naive_loss(names, tokens, now, old, reference, out)
            loss.backward()
            gradients.append(flat_gradient(policy))
            losses.append(loss.item())
            descend(policy)
    return Outcome(gradients, flat_weights(policy), {"policy/loss": sum(losses) / len(losses)})
