"""An engine that types its written texts, some characters a step, so that one can look on."""

from __future__ import annotations

import time
from typing import Any

from zoom_iqa.base.types import Generation
from zoom_iqa.engines.scripted import ScriptedEngine


class TypingEngine(ScriptedEngine):
    def __init__(self, *, piece: int = 1, pause_s: float = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        self._piece, self._pause_s = piece, pause_s
        self._typed = 0

    @property
    def unfinished(self) -> dict[str, str]:
        return {self._waiting[0].key: self._text[: self._typed]} if self._waiting and self._typed else {}

    @property
    def _text(self) -> str:
        assert callable(self._script)
        return self._script(self._waiting[0])

    def abandon(self) -> None:
        self._waiting.clear()
        self._typed = 0

    def step(self) -> list[Generation]:
        if not self._waiting:
            return []
        time.sleep(self._pause_s)
        self._typed += self._piece
        if self._typed < len(self._text):
            return []
        self._typed = 0
        return super().step()
