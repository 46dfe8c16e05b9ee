"""A shared model as trainers see one, with a small policy in vLLM's place, and faults of its server on demand."""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from torch import Tensor

from support.engine_runs import SAMPLING
from support.written_engine import written
from zoom_iqa.base.types import Request
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.engines.vllm.engine import PROBE
from zoom_iqa.engines.vllm.serving import Completion, ServedRequest, of_language, require_fitting
from zoom_iqa.engines.vllm.shared.http_server import ANSWERS, http_server
from zoom_iqa.engines.vllm.shared.model import SharedModel
from zoom_iqa.engines.vllm.shared.weight_files import shape_of
from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt, image_positions
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.lora import plain_state_dict
from zoom_iqa.policy.packing import PromptCompletion
from zoom_iqa.policy.policy import Policy

CONTEXT_TOKENS = 4096


def prompt_of(request: ServedRequest, *, merge_size: int) -> EncodedPrompt:
    """The prompt with positions, made of what a served model is told."""
    columns: list[Tensor] = []
    place = position = 0
    for image in request.images:
        text = image.span[0] - place
        columns += [(position + torch.arange(text)).expand(3, -1)]
        columns += [image_positions(image.grid, position + text, merge_size)]
        place, position = image.span[1], position + text + max(image.grid[1:]) // merge_size
    rest = len(request.ids) - place
    columns.append((position + torch.arange(rest)).expand(3, -1))
    images = tuple(EncodedImage(image.key, torch.empty(0), image.grid) for image in request.images)
    spans = tuple(image.span for image in request.images)
    return EncodedPrompt(torch.tensor(request.ids), torch.cat(columns, 1), position + rest, images, spans)


class GivenFeatures:
    """In the place of a tower: the features that came with requests."""

    def __init__(self) -> None:
        self.of_key: dict[str, Tensor] = {}

    def __call__(self, images: Sequence[EncodedImage]) -> list[Tensor]:
        return [self.of_key[image.key] for image in images]

    def clear(self) -> None:
        pass


class NativeServed:
    """A served model that is the native engine, with a copy of the policy whose weights are 0 until some are pushed."""

    def __init__(self, policy: Policy) -> None:
        self.holder: object | None = None
        self.pushes = 0
        self._policy = copy.copy(policy)
        self._policy.model = copy.deepcopy(policy.model)
        for weight in self._policy.model.parameters():
            weight.data.zero_()
        self._features: Any = GivenFeatures()
        self._prompts: dict[str, EncodedPrompt] = {}
        setattr(self._policy, "encode", lambda key: self._prompts[key])  # noqa: B010
        self._engine = NativeEngine(
            policy=self._policy,
            sampling=SAMPLING,
            features=self._features,
            token_budget=100_000,
            join_share=0.5,
            cuda_graphs=False,
        )

    @property
    def busy(self) -> bool:
        return self._engine.busy

    def push(self, named: Mapping[str, Tensor]) -> None:
        missing = self._policy.model.load_state_dict(dict(named), strict=False).missing_keys
        assert all(name.startswith("model.visual.") for name in missing), missing
        self.pushes += 1
        self._engine.refresh()

    def add(self, request: ServedRequest) -> None:
        require_fitting(request, context_tokens=CONTEXT_TOKENS)
        self._prompts[request.key] = prompt_of(request, merge_size=self._policy.encoder.merge_size)
        self._features.of_key |= {image.key: image.features_MH for image in request.images}
        prompt: Any = request.key
        self._engine.submit(Request(request.key, request.key, prompt, request.seed, sampling=request.sampling))

    @torch.no_grad()
    def step(self) -> list[Completion]:
        found = []
        for made in self._engine.step():
            drawn = made.sampled
            prompt_ids = self._prompts.pop(made.key).ids_L.tolist()
            found.append(
                Completion(
                    made.key,
                    prompt_ids,
                    list(drawn.ids),
                    tuple(drawn.logprobs),
                    tuple(made.entropies or ()),
                    made.finish == "stop",
                    0,
                )
            )
        return found

    def sleep(self) -> bool:
        return False

    def wake(self) -> None:
        pass


class WrittenServed(NativeServed):
    """Answers all that waits at once with texts of fixed ratings, and log-probabilities of the weights pushed."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self._score = Likelihood(
            policy=self._policy, temperature=1.0, features=self._features, logit_chunk=256
        )  # the runs' temperature
        self._waiting: list[ServedRequest] = []

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def add(self, request: ServedRequest) -> None:
        self._features.of_key |= {image.key: image.features_MH for image in request.images}
        self._waiting.append(request)

    @torch.no_grad()
    def step(self) -> list[Completion]:
        waiting, self._waiting = self._waiting, []
        return [self._completion(request) for request in waiting]

    def _completion(self, request: ServedRequest) -> Completion:
        turn = request.key.rpartition("/")[2]
        text = "yes" if turn == PROBE else written(turn, rating=1 + request.seed % 401 / 100, crop=False)
        ids = self._policy.completion_ids(text)
        prompt = prompt_of(request, merge_size=self._policy.encoder.merge_size)
        scored = self._score([PromptCompletion(prompt, request.key, torch.tensor(ids))], entropy=True, select_S=None)
        logprobs, entropies = tuple(scored.logp_T.tolist()), tuple(scored.entropy_T.tolist())
        return Completion(request.key, request.ids, ids, logprobs, entropies, True, 0)


@dataclass
class Sharing:
    """A server in this process. ``faults`` are taken one a call, in order, before good answers: see ``_Faulty``."""

    model: SharedModel
    server: ThreadingHTTPServer
    faults: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


def shared(served: Any, policy: Policy) -> SharedModel:
    shape = shape_of(dict(of_language(plain_state_dict(policy.model))))
    return SharedModel(served, shape=shape, context_tokens=CONTEXT_TOKENS)


@contextmanager
def sharing(served: Any, policy: Policy, *, port: int = 0) -> Iterator[Sharing]:
    """The server, its model run by a thread."""
    model = shared(served, policy)
    with http_server(model, host="127.0.0.1", port=port) as server:
        there = Sharing(model, server)
        server.RequestHandlerClass = type("Faulty", (_Faulty, server.RequestHandlerClass), {"there": there})
        stop = threading.Event()
        threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True),
            threading.Thread(target=model.run, args=(stop,), daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            yield there
        finally:
            stop.set()
            server.shutdown()
            for thread in threads:
                thread.join()


class _Faulty(BaseHTTPRequestHandler):
    """``500``, ``drop`` (no reply), ``lost`` (acted on, no reply), ``broken`` (no JSON), ``other`` (another server)."""

    there: Sharing

    def do_POST(self) -> None:
        self.there.calls.append(self.path)
        fault = self.there.faults.pop(0) if self.there.faults else None
        if fault is None:
            return super().do_POST()  # type: ignore[misc,no-any-return]  # the one it is mixed into
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        match fault:
            case "500":
                self.send_error(500)
            case "drop":
                self.close_connection = True
            case "lost":
                ANSWERS[self.path](self.there.model, raw)
                self.close_connection = True
            case "broken" | "other":
                body = b'{"turn": "he' if fault == "broken" else b"[]"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            case _:
                raise AssertionError(fault)
        return None


@contextmanager
def forked_server(
    make: Callable[[], tuple[Any, Policy]], *, before: Callable[[SharedModel], object] = lambda model: None
) -> Iterator[tuple[int, str]]:
    """A server in a process of its own, its number and address; killed at the end."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            served, policy = make()
            model = shared(served, policy)
            before(model)
            server = http_server(model, host="127.0.0.1", port=0)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            os.write(theirs, f"http://127.0.0.1:{server.server_address[1]}\n".encode())
            model.run(threading.Event())
        finally:
            os._exit(status)
    os.close(theirs)
    try:
        yield pid, os.read(ours, 100).decode().strip()
    finally:
        os.close(ours)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
