"""A shared model seen from a trainer: asked by HTTP, again where a call fails, and given up after a while."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from torch import Tensor

from zoom_iqa.base.errors import ConfigError, ServerError
from zoom_iqa.base.printable import printable
from zoom_iqa.engines.vllm.serving import Completion, OtherWeightsError, ServedRequest, of_language
from zoom_iqa.engines.vllm.shared.weight_files import name_of, shape_of, write_weights
from zoom_iqa.engines.vllm.shared.wire import completion_of, request_bytes

CALL_S = 10.0
"""A call that is not answered within this time has failed."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2.0
"""Between a call that failed and the same call again, twice as long each time."""
ASK_S = 0.1
"""Between questions whether it is one's turn."""
EVERY_REPLY = {"server", "stalled_s"}
SHOWN = 80
"""Characters of a reply that are shown."""


class RemoteModel:
    """The model of one server, for one engine.

    A call that fails is made again for ``lost_after_s`` seconds; a server that answers but whose model has made no step
    for ``stalled_after_s`` seconds is given up too. ``push_folder`` is a folder that the server sees.

    Raises:
        ServerError: in every call, when the server cannot be used any longer.
        ConfigError: in every call, when it refuses one for what was asked.
    """

    def __init__(self, url: str, *, push_folder: Path | None, lost_after_s: float, stalled_after_s: float) -> None:
        self.holder: object | None = None
        self._url, self._place = url, urllib.parse.urlsplit(url)
        self._push_folder = Path(tempfile.gettempdir()) if push_folder is None else push_folder
        self._lost_after_s, self._stalled_after_s = lost_after_s, stalled_after_s
        self._trainer = uuid.uuid4().hex
        self._server: str | None = None
        self._weights = ""
        self._count = 0
        self._keys: dict[int, str] = {}
        self._taken: list[int] = []

    @property
    def busy(self) -> bool:
        """Whether requests are unfinished."""
        return bool(self._keys)

    def push(self, named: Mapping[str, Tensor]) -> None:
        """Wait for one's turn, and write the weights if the server has them from no other trainer."""
        self._weights = name_of(named)
        asked = {"weights": self._weights}
        language = dict(of_language(named))
        shape = shape_of(language)
        folder = self._push_folder / f"weights-{self._trainer}-{self._weights}"
        try:
            while (turn := self._ask("/turn", **asked, shape=shape)["turn"]) != "held":
                if turn == "write":
                    if not folder.exists():
                        write_weights(language, folder)
                    self._ask("/load", **asked, folder=str(folder))
                time.sleep(ASK_S)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, request: ServedRequest) -> None:
        """Queue a request."""
        number, self._count = self._count, self._count + 1
        raw = request_bytes(request, trainer=self._trainer, number=number, weights=self._weights)
        self._call("/submit", raw)
        self._keys[number] = request.key

    def step(self) -> list[Completion]:
        """What is complete by now, perhaps after a second."""
        found = self._ask("/finished", taken=self._taken)["finished"]
        self._taken = [int(number) for number in found]
        return [
            completion_of(said, key=self._keys.pop(int(number)))
            for number, said in found.items()
            if int(number) in self._keys
        ]

    def sleep(self) -> bool:
        """Let others' weights take their turn; one's own may still be there at the next rollout."""
        self._ask("/leave")
        return False

    def wake(self) -> None:
        """The server is awake."""

    def _ask(self, path: str, **said: Any) -> Any:
        return self._call(path, json.dumps({"trainer": self._trainer, **said}).encode())

    def _call(self, path: str, raw: bytes) -> Any:
        since, wait_s = time.monotonic(), FIRST_WAIT_S
        while True:
            left_s = self._lost_after_s + since - time.monotonic()
            try:
                status, said = self._post(path, raw, within_s=max(1.0, min(CALL_S, left_s)))
            except (OSError, http.client.HTTPException, ValueError) as error:
                why = str(error) or type(error).__name__
            else:
                if status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return self._accepted(status, said)
                why = f"status {status}"
            if left_s <= wait_s:
                raise ServerError(
                    f"machine.vllm_url={self._url}: no answer within {self._lost_after_s:g} s (at last: {why}); look "
                    "after the server, and the same command goes on"
                )
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _post(self, path: str, raw: bytes, *, within_s: float) -> tuple[int, Any]:
        assert self._place.hostname is not None, "the recipe has looked at the address"
        connection = http.client.HTTPConnection(self._place.hostname, self._place.port, timeout=within_s)
        try:
            connection.request("POST", path, raw)
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        said = json.loads(body) if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR else {}
        if not isinstance(said, dict) or (reply.status == HTTPStatus.OK and not said.keys() >= EVERY_REPLY):
            raise ValueError(f"a reply that is none of zoom_iqa.serve: {printable(str(said), limit=SHOWN)}")
        return reply.status, said

    def _accepted(self, status: int, said: Any) -> Any:
        if status == HTTPStatus.CONFLICT:
            raise OtherWeightsError(said["error"])
        if status != HTTPStatus.OK:
            raise ConfigError(f"machine.vllm_url={self._url} answers with status {status}: {said.get('error', said)}")
        if self._server not in (None, said["server"]) and self._keys:
            raise ServerError(
                f"machine.vllm_url={self._url} was started anew, and {len(self._keys)} requests are lost with it; the "
                "same command goes on"
            )
        self._server = said["server"]
        if said["stalled_s"] > self._stalled_after_s:
            raise ServerError(
                f"machine.vllm_url={self._url}: its model has made no step for {said['stalled_s']:.0f} s; start it "
                "anew, and the same command goes on"
            )
        return said
