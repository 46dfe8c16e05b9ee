"""Load a Qwen2.5-VL policy from a folder or a hub id, strictly: a missing weight is an error, never a warning."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch

from zoom_iqa.base.errors import ConfigError, PolicyError
from zoom_iqa.base.ranges import require_count_or_none, require_whole
from zoom_iqa.policy.folder import FOLDER_HOLDS, check_folder
from zoom_iqa.policy.lora import LoraSettings, add_adapters
from zoom_iqa.policy.offloading import offload_checkpoints
from zoom_iqa.policy.policy import Policy

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
ATTENTIONS = ("sdpa", "eager", "flash_attention_2")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_policy(
    *,
    path: str,
    dtype: str,
    attention: str,
    min_pixels: int | None,
    max_pixels: int | None,
    image_cache: int,
    lora: LoraSettings | None,
    gradient_checkpointing: bool | Literal["offloaded"],
) -> Policy:
    """Load model, tokenizer and image processor from one place.

    ``min_pixels`` and ``max_pixels`` bound the image area the tower sees (None keeps the processor's own bound);
    ``attention`` is ``sdpa``, ``eager`` or ``flash_attention_2``; ``lora`` adds adapters that alone are trained;
    ``gradient_checkpointing`` recomputes activations in the backward pass; offloaded, what is kept for that lies in the
    machine's memory.

    Raises:
        ConfigError: ``image_cache`` or a bound of the image area is below 1, or ``attention`` is none of the three or
            not installed.
        PolicyError: nothing is there, a file is missing, cut off, damaged or a git-lfs pointer, a weight is missing or
            left over, ``dtype`` is not one of ``DTYPES``, the chat template loses what it is given, or the bounds of
            the image area contradict each other.
    """
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    if dtype not in DTYPES:
        raise PolicyError(f"policy.dtype={dtype!r}: choose one of {', '.join(DTYPES)}")
    require_whole("policy.image_cache", image_cache, least=1, note="so many preprocessed images are kept")
    require_count_or_none("policy.min_pixels", min_pixels, none_means="keeps the processor's own bound")
    require_count_or_none("policy.max_pixels", max_pixels, none_means="keeps the processor's own bound")
    _check_attention(attention)
    source = _locate(path)
    check_folder(Path(source), name=f"policy.path={path}")
    loaded: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        source,
        dtype=DTYPES[dtype],
        attn_implementation=attention,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are in the report, and refused
        use_safetensors=True,
    )
    model, report = loaded
    _check_report(report, path)
    if lora is not None:
        add_adapters(model, lora)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if gradient_checkpointing == "offloaded":
        offload_checkpoints(model)
    tokenizer = AutoTokenizer.from_pretrained(source)
    processor = load_image_processor(source, min_pixels=min_pixels, max_pixels=max_pixels)
    policy = Policy(model=model, tokenizer=tokenizer, image_processor=processor, image_cache=image_cache)
    policy.encoder.check_template()
    return policy


def load_image_processor(source: str, *, min_pixels: int | None, max_pixels: int | None) -> Any:
    """The PIL image processor: the default one imports torchvision, which not every torch build has."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    processor = Qwen2VLImageProcessorPil.from_pretrained(source)
    if min_pixels is not None:
        processor.size["shortest_edge"] = min_pixels
    if max_pixels is not None:
        processor.size["longest_edge"] = max_pixels
    if processor.size["shortest_edge"] > processor.size["longest_edge"]:
        raise PolicyError(
            f"policy.max_pixels={processor.size['longest_edge']} is below policy.min_pixels="
            f"{processor.size['shortest_edge']}; raise one or lower the other"
        )
    return processor


def _check_attention(attention: str) -> None:
    if attention not in ATTENTIONS:
        raise ConfigError(f"policy.attention={attention}: choose one of {', '.join(ATTENTIONS)}")
    installed = any(find_spec(name) for name in ("flash_attn", "kernels"))  # transformers takes either
    if attention == "flash_attention_2" and not installed:
        raise ConfigError(
            "policy.attention=flash_attention_2 needs flash-attn: pip install -c constraints.txt -e '.[flash]', or use "
            "policy.attention=sdpa"
        )


def is_hub_id(path: str) -> bool:
    """Whether a policy's path is the name of a hub's model and of no folder here."""
    return not Path(path).exists() and _HUB_ID.fullmatch(path) is not None


def _locate(path: str) -> str:
    """A folder as it is, a hub id by its local snapshot or by download; PolicyError in one line otherwise."""
    if not path:  # as a path it would be the working folder
        raise PolicyError("policy.path= is empty, as an unset variable is; name a folder or a hub id")
    if Path(path).is_dir():
        return path
    if Path(path).is_file():
        raise PolicyError(f"policy.path={path}: this is a file; give the folder that holds {FOLDER_HOLDS}")
    if not is_hub_id(path):
        raise PolicyError(f"policy.path={path}: there is no such folder; give one that holds {FOLDER_HOLDS}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return snapshot_download(path)
    except (OSError, HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise PolicyError(
            f"policy.path={path}: neither a folder here nor a model the hub gave; if it is one of the hub's, download "
            f"it with `hf download {path} --local-dir FOLDER` and pass policy.path=FOLDER"
        ) from error


def _check_report(report: dict[str, Any], path: str) -> None:
    wrong = {
        name: sorted(map(str, report.get(name) or ()))
        for name in ("missing_keys", "unexpected_keys", "mismatched_keys")
    }
    wrong = {name: keys for name, keys in wrong.items() if keys}
    if wrong:
        listed = "; ".join(f"{len(keys)} {name.replace('_', ' ')} such as {keys[0]}" for name, keys in wrong.items())
        raise PolicyError(f"policy.path={path}: weights do not fit the model: {listed}")
