"""The calls of a shared model by HTTP: POST with JSON, or with a request's bytes; the reply is JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.engines.vllm.serving import OtherWeightsError
from zoom_iqa.engines.vllm.shared.model import SharedModel
from zoom_iqa.engines.vllm.shared.wire import request_of

KINDS = {"trainer": str, "weights": str, "shape": str, "folder": str, "number": int, "taken": list}
Answer = Callable[[SharedModel, bytes], Mapping[str, Any]]


def http_server(model: SharedModel, *, host: str, port: int) -> ThreadingHTTPServer:
    """A server that answers once its ``serve_forever`` runs, a thread for each call.

    Raises:
        ConfigError: the address cannot be had.
    """
    handler = type("HandlerOfOneModel", (_Handler,), {"model": model})
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as error:
        raise ConfigError(f"host={host} port={port}: {error.strerror}; choose another port=N") from error
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    model: SharedModel

    def do_POST(self) -> None:
        """Answer a call; a trainer's mistake is in words."""
        answer, length = ANSWERS.get(self.path), self.headers.get("Content-Length", "0")
        if answer is None:
            return self._refuse(HTTPStatus.NOT_FOUND, f"{self.path}: there is no such call")
        if "Origin" in self.headers:  # a page of some site that somebody here looks at
            return self._refuse(HTTPStatus.FORBIDDEN, "browsers are not served")
        if not (length.isascii() and length.isdigit()):
            return self._refuse(HTTPStatus.BAD_REQUEST, f"Content-Length: {length} is no number of bytes")
        raw = self.rfile.read(int(length))
        try:
            said = answer(self.model, raw)
        except OtherWeightsError as error:
            self._reply(HTTPStatus.CONFLICT, {"error": str(error)})
        except (ConfigError, KeyError, TypeError, ValueError, RecursionError, SafetensorError) as error:
            self._reply(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
        else:
            self._reply(HTTPStatus.OK, {**said, "server": self.model.name, "stalled_s": self.model.stalled_s})

    def log_message(self, format: str, *args: Any) -> None:
        """Calls are many and not logged."""

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what was sent is not read
        self._reply(status, {"error": why})

    def _reply(self, status: HTTPStatus, said: Mapping[str, Any]) -> None:
        raw = json.dumps(said).encode()
        with suppress(ConnectionError):  # a trainer that has left this call makes it again, if it is there
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)


def _checked(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was said, each value of its kind."""
    for name, kind in KINDS.items():
        if name in said and type(said[name]) is not kind:
            raise TypeError(f"{name}={said[name]!r} must be of kind {kind.__name__}")
    return said


def _turn(model: SharedModel, raw: bytes) -> Mapping[str, Any]:
    said = _checked(json.loads(raw))
    return {"turn": model.turn(said["trainer"], weights=said["weights"], shape=said["shape"])}


def _load(model: SharedModel, raw: bytes) -> Mapping[str, Any]:
    said = _checked(json.loads(raw))
    model.load(said["trainer"], weights=said["weights"], folder=Path(said["folder"]))
    return {}


def _submit(model: SharedModel, raw: bytes) -> Mapping[str, Any]:
    request, said = request_of(raw)
    _checked(said)
    model.submit(said["trainer"], said["number"], weights=said["weights"], request=request)
    return {}


def _finished(model: SharedModel, raw: bytes) -> Mapping[str, Any]:
    said = _checked(json.loads(raw))
    made = model.finished(said["trainer"], taken=said["taken"])
    return {"finished": {str(number): dataclasses.asdict(completion) for number, completion in made.items()}}


def _leave(model: SharedModel, raw: bytes) -> Mapping[str, Any]:
    model.leave(_checked(json.loads(raw))["trainer"])
    return {}


ANSWERS: Mapping[str, Answer] = {
    "/turn": _turn,
    "/load": _load,
    "/submit": _submit,
    "/finished": _finished,
    "/leave": _leave,
}
