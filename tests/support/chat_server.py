"""A small server of OpenAI's chat protocol that does what is wrong with servers on demand."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.base.types import Generation, ImagePart, Message, Request, TextPart
from zoom_iqa.engines.engine import Engine
from zoom_iqa.tasks.task import prompt_key

MODEL = "tiny"
Answer = Callable[[dict[str, Any]], Generation]
"""From the body of a request to its answer."""


@dataclass
class ChatApi:
    """``faults`` are taken one a request, in order, before good answers, and ``good`` is none: see ``_Handler``.

    ``probe_faults`` are those of probes. ``bodies`` are all asked.
    """

    answer: Answer
    faults: list[str] = field(default_factory=list)
    probe_faults: list[str] = field(default_factory=list)
    has_logprobs: bool = True
    refuses: tuple[str, ...] = ()
    wants_key: str | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Bodies but those of probes."""
        return [body for body in self.bodies if body["messages"][-1]["content"] != "Reply with the word yes."]


@contextmanager
def chat_server(api: ChatApi, *, port: int = 0) -> Iterator[ChatApi]:
    api.closing.clear()
    handler = type("Handler", (_Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    api: ChatApi

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.api.lock:
            self.api.bodies.append(body)
            self.api.keys.append(self.headers.get("Authorization"))
            is_probe = body["messages"][-1]["content"] == "Reply with the word yes."
            faults = self.api.probe_faults if is_probe else self.api.faults
            fault = faults.pop(0) if faults else None
        if self.api.wants_key is not None and self.headers["Authorization"] != f"Bearer {self.api.wants_key}":
            return self._error(400, "API key not valid. Please pass a valid API key.")
        refused = [key for key in self.api.refuses if key in body]
        if refused:
            return self._error(400, f"unsupported parameter: {refused[0]}")
        if body["model"] != MODEL:
            return self._error(404, f"The model `{body['model']}` does not exist")
        match fault:
            case "429":
                return self._error(429, "too many requests", {"Retry-After": "0.01"})
            case "later":
                return self._error(429, "too many requests", {"Retry-After": "7"})
            case "quota":
                return self._error(429, "no credit", code="insufficient_quota")
            case "400":
                return self._error(400, "this image cannot be read")
            case "500":
                return self._error(500, "internal error")
            case "echo":
                return self._error(500, f"none of the workers took {self.headers['Authorization']}")
            case "broken":
                return self._send(200, b'{"choices": [{"mess')
            case "html":
                return self._send(200, b"<html>gateway</html>", {"Content-Type": "text/html"})
            case "empty":
                return self._send(200, b'{"choices": []}')
            case "thought":  # all of it, and nothing that is shown
                return self._reply(body, Generation("", "", None, None, None, "stop"), hidden_tokens=40)
            case "half":
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "4096")
                self.end_headers()
                self.wfile.write(b'{"choices": [{"message"')
                self.close_connection = True
                return None
            case "drop":
                self.close_connection = True
                return None
            case "drip":  # a byte now and then, without an end
                self.send_response(200)
                self.send_header("Content-Length", "4096")
                self.end_headers()
                with suppress(ConnectionError):
                    while not self.api.closing.wait(0.05):
                        self.wfile.write(b" ")
                self.close_connection = True
                return None
            case "half a character":
                return self._error(500, "no \ud83d")
            case "echo later":  # what is kept of an error ends within the key
                return self._error(500, f"{'x' * 380} {self.headers['Authorization']}")
            case str() if fault.startswith("raw:"):
                return self._send(200, fault.removeprefix("raw:").encode("latin-1"))
            case "silence":
                self.api.closing.wait(5.0)
                self.close_connection = True
                return None
            case "refusal":
                return self._reply(body, Generation("", "I cannot help with that.", None, None, None, "refused"))
            case "length":
                return self._reply(body, Generation("", "<think>Quality: a ph", None, None, None, "length"))
            case None | "good":
                made = Generation("", "yes", None, None, None, "stop") if is_probe else self.api.answer(body)
                return self._reply(body, made)
        raise AssertionError(fault)

    def _reply(self, body: dict[str, Any], made: Generation, *, hidden_tokens: int = 0) -> None:
        refused = made.finish == "refused"
        message = {"role": "assistant", "content": None if refused or hidden_tokens else made.text}
        if refused:
            message["refusal"] = made.text
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop" if refused else made.finish, "message": message}
        if body.get("logprobs") and self.api.has_logprobs and not refused:
            choice["logprobs"] = {"content": [_certain(character) for character in made.text]}
        written = len(made.text) + hidden_tokens
        usage = {"prompt_tokens": 100, "completion_tokens": written, "total_tokens": 100 + written}
        reply = {"id": "x", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice]}
        self._send(200, json.dumps({**reply, "usage": usage}).encode())

    def _error(self, status: int, said: str, headers: dict[str, str] | None = None, code: str | None = None) -> None:
        self._send(status, json.dumps({"error": {"message": said, "code": code}}).encode(), headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _certain(character: str) -> dict[str, Any]:
    """A token of one character of probability 1/2, another of 1/4 listed beside it: entropy 1.5 bits with the rest."""
    half, quarter = -0.6931471805599453, -1.3862943611198906
    options = [{"token": character, "logprob": half}, {"token": "~", "logprob": quarter}]
    return {"token": character, "logprob": half, "bytes": None, "top_logprobs": [{**o, "bytes": None} for o in options]}


def written(text: str | Callable[[dict[str, Any]], str]) -> Answer:
    """Always the same text, or one that follows from the body."""
    return lambda body: Generation("", text(body) if callable(text) else text, None, None, None, "stop")


def answered_by(engine: Engine) -> Answer:
    """The answers of an engine of ours, one at a time."""
    lock = threading.Lock()

    def answer(body: dict[str, Any]) -> Generation:
        prompt = prompt_of(body)
        sampling = SamplingParams(
            temperature=body["temperature"] or 1.0,
            top_p=body["top_p"],
            top_k=0,
            greedy=body["temperature"] == 0,
            max_new_tokens=body["max_tokens"],
            stop_strings=engine.sampling.stop_strings,
        )
        with lock:
            engine.submit(Request("asked", prompt_key(prompt), prompt, body["seed"], sampling=sampling))
            while True:
                for made in engine.step():
                    return made

    return answer


def prompt_of(body: dict[str, Any]) -> tuple[Message, ...]:
    """The messages of a body with their pixels."""
    return tuple(Message(message["role"], tuple(_parts(message["content"]))) for message in body["messages"])


def _parts(content: str | Sequence[dict[str, Any]]) -> Iterator[TextPart | ImagePart]:
    if isinstance(content, str):
        yield TextPart(content)
        return
    for part in content:
        if part["type"] == "text":
            yield TextPart(part["text"])
        else:
            head, _, data = part["image_url"]["url"].partition(",")
            assert head == "data:image/png;base64"
            yield ImagePart.of(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
