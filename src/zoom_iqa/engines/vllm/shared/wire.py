"""Requests and completions as bytes between a trainer and a shared model: safetensors and JSON, no pickles."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import safetensors.torch

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.vllm.serving import Completion, ServedImage, ServedRequest

SAID = "request"
_HEADER_LENGTH = 8
"""A safetensors file begins with the length of its header, which has its words."""


def request_bytes(request: ServedRequest, *, trainer: str, number: int, weights: str) -> bytes:
    """A request by its trainer and number, for weights by their name."""
    said = {
        "trainer": trainer,
        "number": number,
        "weights": weights,
        "key": request.key,
        "ids": request.ids,
        "seed": request.seed,
        "sampling": dataclasses.asdict(request.sampling),
        "images": [(image.key, image.grid, image.span) for image in request.images],
    }
    # copies: two images of the same pixels are one tensor, which safetensors refuses to write twice
    states = {f"{place}": image.features_MH.cpu().clone() for place, image in enumerate(request.images)}
    return safetensors.torch.save(states, metadata={SAID: json.dumps(said)})


def request_of(raw: bytes) -> tuple[ServedRequest, Mapping[str, Any]]:
    """The request and, beside it, ``trainer``, ``number`` and ``weights``."""
    length = int.from_bytes(raw[:_HEADER_LENGTH], "little")
    said = json.loads(json.loads(raw[_HEADER_LENGTH : _HEADER_LENGTH + length])["__metadata__"][SAID])
    states = safetensors.torch.load(raw)
    images = tuple(
        ServedImage(key, tuple(grid), tuple(span), states[f"{place}"])
        for place, (key, grid, span) in enumerate(said["images"])
    )
    return ServedRequest(said["key"], said["ids"], images, SamplingParams(**said["sampling"]), said["seed"]), said


def completion_of(said: Mapping[str, Any], *, key: str) -> Completion:
    """A completion as ``dataclasses.asdict`` has made JSON of it, for the request of this key."""
    of_tokens = {name: tuple(said[name]) for name in ("logprobs", "entropies")}
    return Completion(**{**said, **of_tokens, "key": key})
