"""An engine over the tests' own server: its settings, requests with a picture, and all their answers."""

from __future__ import annotations

from typing import Any

from PIL import Image

from support.chat_server import MODEL, ChatApi
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, ImagePart, Message, Request, TextPart
from zoom_iqa.engines.chat_api.budget import Budget
from zoom_iqa.engines.chat_api.engine import ChatServer
from zoom_iqa.engines.engine import Engine
from zoom_iqa.tasks.task import prompt_key

KEY = "sk-secret-key-of-a-test"
SAMPLING = SamplingParams(
    temperature=0.7, top_p=0.9, top_k=0, greedy=False, max_new_tokens=40, stop_strings=("</answer>",)
)
FREE = Budget(requests=None, tokens=None, money=None, input_price=0.0, output_price=0.0)
GREEN = ImagePart.of(Image.new("RGB", (40, 30), (0, 160, 0)))


def server_of(api: ChatApi, **changed: Any) -> ChatServer:
    values: dict[str, Any] = {
        "model": MODEL,
        "base_url": api.base_url,
        "key_variable": "TEST_KEY",
        "concurrency": 2,
        "requests_per_minute": None,
        "timeout_s": 0.5,
        "attempts": 3,
        "longest_wait_s": 0.02,
        "max_pixels": 1200,
        "length_key": "max_tokens",
        "leave_out": [],
        "extra": {},
        "log_probabilities": True,
        "budget": FREE,
    }
    return ChatServer(**{**values, **changed})


def request(number: int, *parts: TextPart | ImagePart) -> Request:
    prompt = (Message("user", parts or (TextPart(f"question {number}"), GREEN)),)
    return Request(f"r{number}", prompt_key(prompt), prompt, seed=2**40 + number)


def answers(engine: Engine, *requests: Request) -> dict[str, Generation]:
    for one in requests:
        engine.submit(one)
    found = {}
    while engine.busy:
        for made in engine.step():
            assert made.key not in found
            found[made.key] = made
    return found
