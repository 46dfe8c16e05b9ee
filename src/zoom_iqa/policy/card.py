"""The files that explain an exported policy to people who have transformers and not this project."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from zoom_iqa.base.types import Message, TextPart

CARD, EXAMPLE, CONFIG = "README.md", "example.py", "zoom_iqa.yaml"
_FIGURES = {"SRCC": "srcc", "PLCC, raw": "plcc", "readable": "valid_rate", "well-formed": "format_rate", "images": "n"}
_OF_CHOICES = {
    "accuracy": "accuracy",
    "flips with the order": "order_flip_rate",
    "readable": "valid_rate",
    "well-formed": "format_rate",
    "questions": "n",
}
_RATES = "rates the quality of an image from 1.00 to 5.00"
_COMPARES = "names the better of two images"

_CARD = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [image-quality-assessment, qwen2_5_vl, zoom_iqa]
{base}---

# {name}

A Qwen2.5-VL that {does}, and says why.
zoom_iqa trained it from `{start}`; [{config}]({config}) is the whole config of the run.

## Figures

Images: {dataset}.

{table}

## Use

{use}

With transformers alone, the first turn:

```
python example.py {photos}
```

A message has the text first and {after}.
The policy was trained so, and the other order gives other answers.
`AutoTokenizer`, `AutoImageProcessor` and `AutoModelForImageTextToText` load this folder.
`AutoProcessor` needs torchvision as well, which the video part of Qwen2.5-VL's processor imports.
"""

_WHOLE = """\
With zoom_iqa, which plays every turn of the conversation:

```
python -m zoom_iqa.evaluate policy.path=FOLDER {of}
```"""
_ADAPTER = """\
zoom_iqa, which plays every turn of the conversation, takes policies whose adapter is merged.
`zoom-iqa export` of the same checkpoint without `adapter=true` writes one."""

_EXAMPLE = '''\
"""Asks this policy about an image, with transformers alone: python example.py {photos}"""

import sys
from pathlib import Path

import torch
from PIL import {pillow}
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

FOLDER = Path(__file__).parent
MESSAGES = {messages}

if len(sys.argv) != 1 + {images}:
    sys.exit("usage: python example.py {photos}")
photos = [{opened}.convert("RGB") for path in sys.argv[1:]]  # {turned}
model = AutoModelForImageTextToText.from_pretrained(FOLDER, dtype="auto").eval()
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
processor = AutoImageProcessor.from_pretrained(FOLDER)

inputs = processor(images=photos, return_tensors="pt")
places = [int(grid.prod()) // processor.merge_size**2 for grid in inputs["image_grid_thw"]]  # image tokens
prompt = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
first, *others = prompt.split("<|image_pad|>")
prompt = first + "".join("<|image_pad|>" * count + text for count, text in zip(places, others, strict=True))
inputs.update(tokenizer(prompt, return_tensors="pt"))
inputs["mm_token_type_ids"] = (inputs["input_ids"] == model.config.image_token_id).int()
with torch.inference_mode():
    tokens = model.generate(**inputs, max_new_tokens={max_new_tokens}, do_sample=False, repetition_penalty=1.0)
print(tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
'''

_UPRIGHT = {
    "pillow": "Image, ImageOps",
    "opened": "ImageOps.exif_transpose(Image.open(path))",
    "turned": "upright, as in the run: EXIF says how",
}
_AS_STORED = {"pillow": "Image", "opened": "Image.open(path)", "turned": "as stored, whatever EXIF says: as in the run"}


def card_files(
    *,
    name: str,
    start: str,
    is_hub_id: bool,
    dataset: str,
    figures: Mapping[str, Mapping[str, Any]],
    prompt: Sequence[Message],
    task: str | None,
    adapter: bool,
    max_new_tokens: int,
    upright: bool,
    config_yaml: str,
) -> dict[str, str]:
    """Model card, example and config of the run, by file name.

    ``start`` is what was trained, ``figures`` are those of every stage on ``dataset``, and ``prompt`` is the first
    turn's, which the example asks with. ``task`` is the choice that an evaluation has to make, None where it is the
    one it makes itself; ``adapter`` says that the weights are an adapter's alone. The example turns photographs as EXIF
    says where the run does (``upright``).
    """
    images = sum(not isinstance(part, TextPart) for message in prompt for part in message.parts)
    compares = images > 1
    kept = _OF_CHOICES if compares else _FIGURES
    header = f"| stage | {' | '.join(kept)} |"
    rows = [
        f"| {stage} | {' | '.join(_shown(found.get(key)) for key in kept.values())} |"
        for stage, found in figures.items()
    ]
    table = "\n".join([header, "| --- " * (1 + len(kept)) + "|", *rows])
    photos = "PHOTO" if images == 1 else " ".join(f"PHOTO_{number}" for number in range(1, images + 1))
    images_of = "benchmark=srbench" if compares else "manifest=mine.csv"
    card = _CARD.format(
        base=f"base_model: {start}\n" if is_hub_id else "",
        name=name,
        start=start,
        config=CONFIG,
        dataset=dataset,
        table=table,
        does=_COMPARES if compares else _RATES,
        use=_ADAPTER if adapter else _WHOLE.format(of=" ".join([images_of, *([f"task={task}"] if task else [])])),
        photos=photos,
        after="each image after its label" if compares else "the image after it",
    )
    shown = json.dumps([_plain(message) for message in prompt], indent=4, ensure_ascii=False)
    return {
        CARD: card,
        EXAMPLE: _EXAMPLE.format(
            messages=shown,
            max_new_tokens=max_new_tokens,
            photos=photos,
            images=images,
            **(_UPRIGHT if upright else _AS_STORED),
        ),
        CONFIG: config_yaml,
    }


def _plain(message: Message) -> dict[str, Any]:
    parts = [
        {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "image"}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}


def _shown(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
