"""The bytes each token of a byte-level BPE spells, so that characters of decoded text can be traced to their tokens."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any

from zoom_iqa.base.types import Span


class TokenBytes:
    """Bytes by token id; a special token, which decoding leaves out, spells nothing, nor does an id without a token."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._added: dict[int, str] = {i: token.content for i, token in tokenizer.added_tokens_decoder.items()}
        self._byte_of = {char: byte for byte, char in enumerate(_byte_alphabet())}
        self._known: dict[int, bytes] = {}

    def __getitem__(self, token_id: int) -> bytes:
        """Bytes of one token."""
        found = self._known.get(token_id)
        if found is None:
            found = self._known[token_id] = self._spell(token_id)
        return found

    def spans(self, ids: Iterable[int]) -> list[Span]:
        """Character positions each token covers in the decoded text; a special token covers none.

        A character spelled by several tokens (bytes of UTF-8) belongs to the one that completes it.
        """
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        spans, position = [], 0
        for token_id in ids:
            end = position + len(decoder.decode(self[token_id]))
            spans.append((position, end))
            position = end
        return spans

    def _spell(self, token_id: int) -> bytes:
        if token_id in self._special:
            return b""
        if token_id in self._added:
            return self._added[token_id].encode()
        return bytes(self._byte_of[char] for char in self._tokenizer.convert_ids_to_tokens(token_id) or "")


def _byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in GPT-2's byte-level BPE, in byte order."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]
