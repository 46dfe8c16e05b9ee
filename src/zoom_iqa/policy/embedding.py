"""Token ids and image features -> input embeddings of the language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.policy import Policy

EncodeImages = Callable[[Sequence[EncodedImage]], list[Tensor]]
"""Features (M, H) of each image: a VisionCache, or the tower itself."""


def embed_prompt(policy: Policy, prompt: EncodedPrompt, encode: EncodeImages) -> Tensor:
    """Embeddings (L, H) of a prompt, image features in the places of its image tokens; on the policy's device."""
    ids_L = prompt.ids_L.to(policy.device)
    embedded_LH: Tensor = policy.model.get_input_embeddings()(ids_L)
    if not prompt.images:
        return embedded_LH
    features_MH = torch.cat(encode(prompt.images)).to(embedded_LH.dtype)
    return embedded_LH.masked_scatter((ids_L == policy.encoder.image_pad_id)[:, None], features_MH)
