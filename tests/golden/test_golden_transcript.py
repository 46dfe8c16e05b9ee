"""Every message of two-turn sessions with a crop, as the policy is sent them: no refactoring may change a word of it.

After a change made on purpose: ``python -m pytest tests/golden --update-golden``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Request, Sample, TextPart, rated_example
from zoom_iqa.config.location import conf_dir
from zoom_iqa.engines.scripted import ScriptedEngine
from zoom_iqa.rollout.collect import collect_groups
from zoom_iqa.tasks.prompts import PromptSet
from zoom_iqa.tasks.zoom import ZoomTask

KEPT = Path(__file__).parent / "transcript.json"
SAMPLING = SamplingParams(temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=999, stop_strings=())
CROP = '<think>x</think><answer>{"bbox_2d": [0.1, 0.2, 0.55, 0.7], "rating": 2.75, "tool": "crop"}</answer>'
FINAL = '<think>x</think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.25, "tool": "final"}</answer>'


def prompts_of(choice: str) -> PromptSet:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        found: PromptSet = instantiate(compose("train", overrides=[f"prompts={choice}"]).prompts)
    return found


def picture(number: int, width: int, height: int) -> Sample:
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Sample.of(rated_example(id=f"picture{number}", dataset="noise", mos=3.0), Image.fromarray(pixels))


def described(request: Request) -> dict[str, Any]:
    return {
        "seed": request.seed,
        "messages": [
            {
                "role": message.role,
                "parts": [
                    part.text
                    if isinstance(part, TextPart)
                    else {
                        "size": list(part.image.size),
                        "pixels": hashlib.sha256(part.image.tobytes()).hexdigest()[:16],
                    }
                    for part in message.parts
                ],
            }
            for message in request.prompt
        ],
    }


def transcript(choice: str) -> list[dict[str, Any]]:
    """Two images, two rollouts each; the first one of each image asks for a crop."""
    asked: list[dict[str, Any]] = []

    def script(request: Request) -> str:
        asked.append(described(request))
        first_turn = len(request.prompt) == 1
        return CROP if first_turn and len(asked) % 2 else FINAL

    engine = ScriptedEngine(script=script, sampling=SAMPLING, policy=None)
    samples = [picture(0, 96, 64), picture(1, 50, 70)]
    task = ZoomTask(prompts=prompts_of(choice))
    groups = collect_groups(samples, task=task, engines={"policy": engine}, group_size=2, seed=7)
    assert any(len(rollout.steps) == 2 for group in groups for rollout in group.rollouts)
    return asked


def test_every_message(pytestconfig: pytest.Config) -> None:
    found = {choice: transcript(choice) for choice in ("compact", "full")}
    if pytestconfig.getoption("--update-golden"):
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(KEPT.read_text(encoding="utf-8"))
