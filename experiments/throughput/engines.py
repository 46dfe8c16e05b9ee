"""Time what each engine takes to sample the same answers: a line of JSON an engine.

    .venv-vllm/bin/python experiments/throughput/engines.py [--policy FOLDER] [--images 8] [--group 8] [--tokens 128]

Every round samples ``group`` first turns about each of ``images`` pictures, after a push of the weights, as a GRPO step
does; the first round is not counted. The clock is CPU time of the process and, beside it, wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import ImagePart, Message, Request, TextPart
from zoom_iqa.engines.engine import Engine
from zoom_iqa.engines.native.engine import NativeEngineRecipe
from zoom_iqa.engines.vllm.engine import VllmEngineRecipe
from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.shipped import shipped_policy_folder
from zoom_iqa.policy.vision_cache import VisionCache

QUESTION = "You are an image quality expert. Rate the image and decide if you need a crop for closer inspection."


def requests(given: argparse.Namespace) -> list[Request]:
    side_x, side_y = given.side
    pixels = [np.random.default_rng(n).integers(0, 256, (side_y, side_x, 3), np.uint8) for n in range(given.images)]
    prompts = [(Message("user", (TextPart(QUESTION), ImagePart.of(Image.fromarray(p)))),) for p in pixels]
    return [
        Request(f"{n}/{row}", str(n), prompt, seed=1000 * n + row)
        for n, prompt in enumerate(prompts)
        for row in range(given.group)
    ]


def sampled(engine: Engine, wanted: list[Request]) -> int:
    """How many tokens came."""
    engine.refresh()
    for request in wanted:
        engine.submit(request)
    tokens = 0
    while engine.busy:
        tokens += sum(len(made.token_ids or ()) for made in engine.step())
    engine.release()
    return tokens


def timed(engine: Engine, wanted: list[Request], rounds: int) -> dict[str, Any]:
    sampled(engine, wanted)
    cpu_s, wall_s, tokens = [], [], 0
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        tokens = sampled(engine, wanted)
        cpu_s.append(time.process_time() - cpu)
        wall_s.append(time.perf_counter() - wall)
    return {"tokens": tokens, "cpu_s": statistics.median(cpu_s), "wall_s": statistics.median(wall_s), "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", default=str(shipped_policy_folder()))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--side", type=int, nargs=2, default=(256, 192))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    policy = load_policy(
        path=given.policy,
        dtype=given.dtype,
        attention="sdpa",
        min_pixels=None,
        max_pixels=None,
        image_cache=64,
        lora=None,
        gradient_checkpointing=False,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    policy.model.to(device).eval()
    sampling = SamplingParams(
        temperature=1.0, top_p=1.0, top_k=0, greedy=False, max_new_tokens=given.tokens, stop_strings=("</answer>",)
    )
    graphs = device.type == "cuda"
    recipes: dict[str, Callable[..., Engine]] = {
        "native": NativeEngineRecipe(token_budget=65536, join_share=0.5, cuda_graphs=graphs),
        "vllm": VllmEngineRecipe(
            cache_tokens=65536, rows=256, context_tokens=None, cuda_graphs=graphs, sleep=False, probe_tolerance=0.02
        ),
    }
    wanted = requests(given)
    for name, recipe in recipes.items():
        features = VisionCache(model=policy.model, capacity=65536)
        engine = recipe(policy=policy, sampling=sampling, features=features)
        print(json.dumps({"engine": name, "device": device.type, **timed(engine, wanted, given.rounds)}), flush=True)


if __name__ == "__main__":
    main()
