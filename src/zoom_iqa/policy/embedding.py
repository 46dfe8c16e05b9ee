"""Token ids and image features -> input embeddings of the language model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoom_iqa.policy.policy import Policy


def embed(policy: Policy, ids_T: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Embeddings (T, hidden width) of ids on the policy's device; image features stand where their tokens are."""
    embedded: Tensor = policy.model.get_input_embeddings()(ids_T)
    if not features:
        return embedded
    is_image_T1 = (ids_T == policy.encoder.image_pad_id)[:, None]
    return embedded.masked_scatter(is_image_T1, torch.cat(list(features)).to(embedded.dtype))
