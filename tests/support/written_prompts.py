"""Prompts written token by token: numbers are ids, texts are the keys of images of two tokens each."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt

IMAGE_PAD = 99


def written_prompt(pieces: Sequence[int | str]) -> EncodedPrompt:
    ids: list[int] = []
    positions: list[list[int]] = []
    images: list[EncodedImage] = []
    spans: list[tuple[int, int]] = []
    place = 0
    for piece in pieces:
        if isinstance(piece, int):
            ids.append(piece)
            positions.append([place] * 3)
            place += 1
        else:  # one row of two merged tokens
            spans.append((len(ids), len(ids) + 2))
            images.append(EncodedImage(piece, torch.zeros(8, 1), (1, 2, 4)))
            ids += [IMAGE_PAD] * 2
            positions += [[place, place, place], [place, place, place + 1]]
            place += 2
    return EncodedPrompt(torch.tensor(ids), torch.tensor(positions).T, place, tuple(images), tuple(spans))
