"""When a generation is complete: an end-of-turn token, or a stop string in the text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoom_iqa.policy.policy import Policy


class StopCheck:
    """Call after every new token with all ids so far; costs a set lookup unless a stop string may just have ended."""

    def __init__(self, stop_strings: Sequence[str], policy: Policy) -> None:
        self._ends = frozenset(policy.stop_ids)
        self._strings = tuple(text.encode() for text in stop_strings)
        self._last_bytes = frozenset(text[-1] for text in self._strings)
        self.window = max(map(len, self._strings), default=1)  # tokens that may matter, if each spells something
        self._bytes = policy.token_bytes
        rows = policy.model.lm_head.weight.shape[0]  # may be more than tokens; where logits are NaN the last is drawn
        self._may_end_V = torch.tensor(
            [i in self._ends or not self._last_bytes.isdisjoint(self._bytes[i]) for i in range(rows)]
        )

    def __call__(self, ids: Sequence[int]) -> bool:
        """Whether the generation ends with its last token."""
        if ids[-1] in self._ends:
            return True
        if self._last_bytes.isdisjoint(self._bytes[ids[-1]]):
            return False
        tail = b"".join(self._bytes[token] for token in ids[-self.window :])
        return any(text in tail for text in self._strings)

    def suspects(self, token_R: Tensor) -> list[int]:
        """Rows whose newest token may have ended them; the others need no look."""
        if self._may_end_V.device != token_R.device:
            self._may_end_V = self._may_end_V.to(token_R.device)
        may_end_R = self._may_end_V[token_R]
        rows: list[int] = may_end_R.nonzero()[:, 0].tolist() if may_end_R.any() else []
        return rows
