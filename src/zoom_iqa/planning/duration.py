"""Seconds of a step on each GPU, from limits and the shares of them that were measured on one H200.

Communication between GPUs is not counted: it was not measured.
"""

from __future__ import annotations

import math

from zoom_iqa.planning.hardware import (
    BANDWIDTH_REACHED,
    DECODE_SHARE,
    PREFILL_SHARE,
    PREPARE_S,
    PRODUCTS_REACHED,
    UPDATE_SHARE,
    Gpu,
)
from zoom_iqa.planning.work import Settings

STEP_TRAFFIC = 36
"""Bytes read and written for a parameter that steps: gradient, float32 gradient, master, moments, weight."""


def seconds(settings: Settings, gpu: Gpu) -> dict[str, float]:
    """Seconds by phase, if all answers ask for a second turn and are as long as they may be."""
    products = gpu.products * PRODUCTS_REACHED
    phases = {"prepare": PREPARE_S * settings.work.images * settings.accumulate}
    if settings.samples:
        phases["prefill, vision"] = prefill_products(settings) / (products * PREFILL_SHARE)
        phases["decode"] = decode_bytes(settings) / (gpu.bandwidth * BANDWIDTH_REACHED * DECODE_SHARE)
    if settings.reference:
        phases["reference"] = forward_products(settings) / (products * UPDATE_SHARE)
    phases["forward, backward"] = update_products(settings) / (products * UPDATE_SHARE)
    traffic = STEP_TRAFFIC * settings.trained / (settings.gpus if settings.masters else 1)
    phases["optimizer"] = settings.updates * traffic / (gpu.bandwidth * BANDWIDTH_REACHED)
    return phases


def prefill_products(settings: Settings) -> float:
    """Operations to read all prompts, and of the tower for the images."""
    work, shape = settings.work, settings.shape
    tokens = work.images * work.prompt + work.answers * work.second_prompt
    pictures = work.images + (work.answers if work.second_prompt else 0)  # each crop is one more
    patches = pictures * work.image_tokens * shape.merge**2
    return 2.0 * (shape.block_weights * tokens + shape.tower_parameters * patches)


def decode_bytes(settings: Settings) -> float:
    """Bytes read to draw all tokens: the weights for every step, and the keys and values there are by then."""
    work, shape, number = settings.work, settings.shape, settings.number_bytes
    weights = number * (shape.block_weights + shape.head_weights)
    half = work.new_tokens / 2
    first = work.images * work.prompt + work.answers * half
    second = work.answers * (work.second_prompt + half) if work.second_prompt else 0.0
    total = 0.0
    for tokens, cached in ((work.first_tokens, first), (work.second_tokens, second)):
        waves = math.ceil(tokens / settings.token_budget)  # a turn that there is not has none
        total += work.new_tokens * (waves * weights + cached * shape.key_value_bytes(number))
    return total


def forward_products(settings: Settings) -> float:
    """Operations of one forward pass over a step's tokens; the head sees the answers' alone."""
    work, shape = settings.work, settings.shape
    tokens = work.first_tokens + work.second_tokens
    answered = work.answers * work.new_tokens * (2 if work.second_prompt else 1)
    return 2.0 * (shape.block_weights * tokens + shape.head_weights * answered)


def update_products(settings: Settings) -> float:
    """Forward, a second one where activations are made again, gradients of inputs, and of weights that are trained.

    Each epoch over a rollout makes all of them.
    """
    passes = 2 + (0 if settings.adapters else 1) + (1 if settings.checkpointing else 0)
    return passes * settings.accumulate * settings.epochs * forward_products(settings)
