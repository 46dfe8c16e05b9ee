"""The tokens of rows that another program runs, drawn by our sampler.

vLLM runs the model; which token follows is decided here, by the rule and the random numbers of every engine of ours. So
a request's tokens, log-probabilities and entropies mean the same whichever engine makes them.

Legend: R rows, V vocabulary, C tokens of a completion at its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.base.errors import SessionError
from zoom_iqa.base.sampling import SamplingParams
from zoom_iqa.engines.sampler import draw, uniform_draws


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Of one request, its random numbers and what was drawn with them."""

    sampling: SamplingParams
    uniform_C: Tensor
    token_C: Tensor
    logp_C: Tensor
    entropy_C: Tensor


class Drawing:
    """Draws for requests that have started, and keeps what it drew until it is taken.

    ``bias_V`` is added to all logits: it bans tokens.
    """

    def __init__(self, *, bias_V: Tensor) -> None:
        self._bias_V = bias_V
        self._requests: dict[str, _Drawn] = {}

    def start(self, key: str, *, sampling: SamplingParams, seed: int) -> None:
        """Expect rows of a request.

        Raises:
            SessionError: there is an unfinished one of the same key.
        """
        if key in self._requests:
            raise SessionError(f"{key!r} is asked for twice at once; request keys must differ in a batch")
        count, device = sampling.max_new_tokens, self._bias_V.device
        self._requests[key] = _Drawn(
            sampling,
            uniform_draws(seed, count).to(device),
            torch.full((count,), -1, device=device),
            *(torch.full((count,), torch.nan, device=device) for _ in range(2)),
        )

    def __call__(self, logits_RV: Tensor, rows: Sequence[tuple[str, int]]) -> Tensor:
        """The next token (R,) of each row, a request's key and how many tokens it has.

        A row may come again, as after its keys and values were dropped: it draws the same.
        """
        logits_RV = logits_RV.float() + self._bias_V
        of_rule: dict[SamplingParams, list[int]] = {}
        for row, (key, _) in enumerate(rows):
            of_rule.setdefault(self._requests[key].sampling, []).append(row)
        token_R = torch.empty(len(rows), dtype=torch.long, device=logits_RV.device)
        for sampling, alike in of_rule.items():
            asked = [(self._requests[rows[row][0]], rows[row][1]) for row in alike]
            uniform = torch.stack([request.uniform_C[place] for request, place in asked])
            drawn = draw(logits_RV[alike], uniform, sampling)
            token_R[alike] = drawn.token_R
            kept = zip(asked, drawn.token_R, drawn.logp_R, drawn.entropy_R, strict=True)
            for (request, place), token, logp, entropy in kept:
                request.token_C[place], request.logp_C[place], request.entropy_C[place] = token, logp, entropy
        return token_R

    def take(self, key: str, ids: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Log-probabilities and entropies of a finished request's tokens, in nats; they are forgotten.

        Raises:
            SessionError: ``ids`` are not the tokens that were drawn.
        """
        request = self._requests.pop(key)
        if request.token_C[: len(ids)].tolist() != list(ids):
            raise SessionError(f"{key!r}: vLLM returns other tokens than were drawn for it; use rollout=native")
        return tuple(request.logp_C[: len(ids)].tolist()), tuple(request.entropy_C[: len(ids)].tolist())
