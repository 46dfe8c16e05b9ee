"""The same policy with wider attention heads, for kernels that know certain widths only.

A head of width d is written as one of width D > d: its queries, keys and values get zeros, and what depends on d is
changed so that nothing else does. Rotary frequency i of n pairs is b^(-i/n) for the base b: with N > n pairs and the
base b^(N/n) the first n are what they were. Attention divides by the root of the width: queries are multiplied by
sqrt(D/d). The model's width has to be heads x D, so that all states get zeros too: an RMS norm divides by the root of
(their squared sum / width + eps), for which its weight and eps are scaled.

Legend: M states, such as those of an image, H hidden width.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from zoom_iqa.base.errors import PolicyError

LANGUAGE = "model.language_model."
HEADS = (".q_proj", ".k_proj", ".v_proj")
MERGED = ("model.visual.merger.mlp.2.weight", "model.visual.merger.mlp.2.bias")
"""The tower's last layer, whose outputs are states of the language model."""


@dataclass(frozen=True, kw_only=True)
class Widening:
    """From heads of ``old`` numbers to heads of ``new``, in a model whose states have ``hidden`` numbers.

    Raises:
        PolicyError: the heads would not become wider, or cannot be halved for the rotary embedding.
    """

    old: int
    new: int
    hidden: int

    def __post_init__(self) -> None:
        if self.new <= self.old or self.new % 2 or self.old % 2:
            raise PolicyError(f"head_width={self.new} must be an even number above {self.old}, the policy's own")

    @staticmethod
    def of(config: Any, *, head_width: int) -> Widening:
        """Of a model's config."""
        text = config.get_text_config()
        return Widening(old=head_width_of(config), new=head_width, hidden=text.hidden_size)

    @property
    def wide(self) -> int:
        """The width of states afterwards."""
        return self.hidden * self.new // self.old

    def config(self, config: Any) -> Any:
        """The config of the wide model."""
        wide = copy.deepcopy(config)
        text, rope = wide.get_text_config(), dict(config.get_text_config().rope_parameters)
        text.hidden_size = wide.vision_config.out_hidden_size = self.wide
        text.rms_norm_eps *= self.hidden / self.wide
        rope["rope_theta"] **= self.new / self.old
        *first, last = rope["mrope_section"]
        rope["mrope_section"] = [*first, last + (self.new - self.old) // 2]
        text.rope_parameters = rope
        return wide

    def weights(self, named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """Each tensor as it is in the wide model, by the names of transformers' state dict."""
        for name, tensor in named:
            yield name, self._weight(name, tensor)

    def states(self, states_MH: Tensor) -> Tensor:
        """States, such as the tower's features of an image, in the wide model."""
        return F.pad(states_MH, (0, self.wide - self.hidden))

    def _weight(self, name: str, tensor: Tensor) -> Tensor:
        if name in MERGED:
            return self._outputs(tensor)
        if name == "lm_head.weight" or name.endswith("embed_tokens.weight"):
            return self.states(tensor)
        if not name.startswith(LANGUAGE):
            return tensor
        if "norm" in name:
            return self.states(tensor * math.sqrt(self.hidden / self.wide))
        if any(part in name for part in HEADS):
            gain = math.sqrt(self.new / self.old) if ".q_proj" in name else 1.0
            heads = self._heads(tensor * gain, 0)
            return heads if name.endswith("bias") else self.states(heads)
        if ".o_proj" in name:
            return self._outputs(self._heads(tensor, 1))
        return self._outputs(tensor) if ".down_proj" in name else self.states(tensor)

    def _outputs(self, tensor: Tensor) -> Tensor:
        """More rows of zeros."""
        return F.pad(tensor, (0,) * (2 * tensor.ndim - 1) + (self.wide - self.hidden,))

    def _heads(self, tensor: Tensor, axis: int) -> Tensor:
        """Zeros after both halves of each head: rotary embedding turns numbers i and i + width / 2 together."""
        halves = tensor.unflatten(axis, (-1, 2, self.old // 2)).movedim(axis + 2, -1)
        return F.pad(halves, (0, (self.new - self.old) // 2)).movedim(-1, axis + 2).flatten(axis, axis + 2)


def head_width_of(config: Any) -> int:
    """The width of a head of a model with such a config."""
    text = config.get_text_config()
    return int(text.hidden_size // text.num_attention_heads)


def widened(model: Any, weights: Mapping[str, Tensor], *, head_width: int) -> Any:
    """A model of the same class, in float32, that computes what ``model`` would with ``weights``.

    Raises:
        PolicyError: the heads would not become wider.
    """
    widening = Widening.of(model.config, head_width=head_width)
    wide = type(model)(widening.config(model.config)).float()
    wide.load_state_dict(dict(widening.weights((name, weight.float()) for name, weight in weights.items())))
    return wide.eval()
