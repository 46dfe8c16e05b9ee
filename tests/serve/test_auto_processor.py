"""A folder read by the classes that published evaluation code takes, AutoProcessor among them: the same greedy answer.

``AutoProcessor`` needs torchvision, which the environment of ``make test-serve`` has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration

from support.engine_runs import native, run
from support.plain_policy import plain_policy
from support.random_policy import turn1_prompt, turn2_prompt
from support.vllm_runs import GREEDY
from zoom_iqa.base.types import ImagePart, Message, Request, TextPart


def chat_of(prompt: tuple[Message, ...]) -> list[dict[str, Any]]:
    return [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part.text} if isinstance(part, TextPart) else {"type": "image"}
                for part in message.parts
            ],
        }
        for message in prompt
    ]


@pytest.mark.parametrize("prompt", [turn1_prompt(0), turn2_prompt(1)], ids=["one image", "two images"])
def test_the_answer_is_the_native_engines(prompt: tuple[Message, ...], served_folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(served_folder)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(served_folder)
    text = processor.apply_chat_template(chat_of(prompt), tokenize=False, add_generation_prompt=True)
    images = [part.image for message in prompt for part in message.parts if isinstance(part, ImagePart)]
    inputs = processor(text=[text], images=images, return_tensors="pt")
    assert torch.equal(inputs["input_ids"][0], plain_policy().encode(prompt).ids_L)

    expected = run(native(plain_policy()), [Request("a", "a", prompt, 0, sampling=GREEDY)])["a"].token_ids
    made = model.generate(**inputs, max_new_tokens=len(expected), do_sample=False)
    assert tuple(made[0, inputs["input_ids"].shape[1] :].tolist()) == expected
