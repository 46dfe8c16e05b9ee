"""Low-rank adapters (LoRA, arXiv 2106.09685) on the language model, by peft; the policy's structure stays as it is."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoom_iqa.base.errors import ConfigError, PolicyError
from zoom_iqa.base.ranges import require_positive, require_whole

ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""The file that peft looks for."""
_IN_A_BLOCK = r".*language_model\.layers\.\d+\.(?:self_attn|mlp)\.(?:{})"


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """Rank, scale numerator, and which linear layers of the language model's blocks get an adapter."""

    rank: int
    alpha: int
    targets: Sequence[str]

    def __post_init__(self) -> None:
        require_whole("lora.rank", self.rank, least=1)
        require_positive("lora.alpha", self.alpha, note="adapters scaled by nothing learn nothing")
        if not self.targets:
            raise ConfigError("lora.targets is empty; name linear layers such as q_proj")


def add_adapters(model: Any, settings: LoraSettings) -> None:
    """Put adapters that change nothing yet beside the target layers; only they are trainable afterwards.

    Raises:
        ConfigError: a name is no layer's of the language model's blocks.
    """
    from peft import LoraConfig, inject_adapter_in_model

    from zoom_iqa.policy.adapted_linear import AdaptedLinear

    linear = {
        name.rpartition(".")[2]
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and re.fullmatch(_IN_A_BLOCK.format(r"\w+"), name)
    }
    unknown = [target for target in settings.targets if target not in linear]
    if unknown:
        raise ConfigError(f"lora.targets: no block has a layer {unknown[0]}; choose of {', '.join(sorted(linear))}")
    pattern = _IN_A_BLOCK.format("|".join(settings.targets))
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=pattern, lora_dropout=0.0)
    inject_adapter_in_model(config, model)
    for _, layer in _adapted(model):
        if base_weight(layer).dtype != torch.float32:
            layer.__class__ = AdaptedLinear


def has_adapters(model: nn.Module) -> bool:
    """Whether the model carries adapters."""
    return next(_adapted(model), None) is not None


def adapter_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The adapters' own weights by name; a model without adapters has none."""
    return {name: parameter for name, parameter in model.named_parameters() if ".lora_" in name}


@contextmanager
def swapped_adapters(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with other adapter weights for a while; for passes without gradient."""
    parameters = adapter_weights(model)
    now = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = weights[name].to(parameter.device)
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = now[name]


def effective_weight(layer: Any) -> Tensor:
    """The weight a linear layer acts with, its adapter's part added in float32 and rounded once.

    In 16 bits a small part is lost in that rounding; ``low_rank_part`` is what acts unrounded.
    """
    if not _is_adapted(layer):
        weight: Tensor = layer.weight
        return weight
    base: Tensor = layer.get_base_layer().weight
    down_RI, up_OR, scale = _low_rank(layer)
    return (base.float() + up_OR.float() @ down_RI.float() * scale).to(base.dtype)


def low_rank_part(layer: Any) -> tuple[Tensor, Tensor] | None:
    """An adapted linear layer's adapter as (R, I) and (O, R), whose product is added to the weight; None without one.

    R is the rank, I and O are the widths of input and output; the scale is in the second.
    """
    if not _is_adapted(layer):
        return None
    down_RI, up_OR, scale = _low_rank(layer)
    return down_RI, up_OR * scale


def base_weight(layer: Any) -> Tensor:
    """The weight of a linear layer without its adapter."""
    weight: Tensor = (layer.get_base_layer() if _is_adapted(layer) else layer).weight
    return weight


def plain_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The state dict of the same model without adapters, their parts added to the weights."""
    state = {name: value for name, value in model.state_dict().items() if ".lora_" not in name}
    for name, layer in _adapted(model):
        state[f"{name}.base_layer.weight"] = effective_weight(layer).detach()
    return {name.replace(".base_layer.", "."): value for name, value in state.items()}


def peft_adapter(model: nn.Module, *, base: str) -> tuple[Any, dict[str, Tensor]]:
    """The adapter as peft keeps one: its config, made for the model ``base``, and its weights by peft's names.

    Raises:
        PolicyError: the model has none.
    """
    weights = adapter_weights(model)
    if not weights:
        raise PolicyError("there is no adapter to keep: the policy was trained whole; export it merged")
    model_with_config: Any = model
    (name,) = model_with_config.peft_config
    config = copy.copy(model_with_config.peft_config[name])
    config.base_model_name_or_path, config.inference_mode = base, True
    named = {
        f"base_model.model.{key.replace(f'.{name}.', '.')}": weight.detach().cpu().contiguous()
        for key, weight in weights.items()
    }
    return config, named


def _is_adapted(layer: nn.Module) -> bool:
    return hasattr(layer, "lora_A") and hasattr(layer, "get_delta_weight")


def _low_rank(layer: Any) -> tuple[Tensor, Tensor, float]:
    name = layer.active_adapters[0]
    return layer.lora_A[name].weight, layer.lora_B[name].weight, float(layer.scaling[name])


def _adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    return ((name, layer) for name, layer in model.named_modules() if _is_adapted(layer))
