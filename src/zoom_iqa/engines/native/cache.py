"""Keys and values of rows that were admitted together: each prompt's once, shared by its rows, and each row's own.

Legend: n prompts, g rows of each, R = n * g rows, J key heads, E query heads per key head, H = J * E, P prompt tokens
(padded to the longest), T own tokens there is room for, D head width. Caches are laid out so that one product serves a
prompt's rows and heads: of each layer the prompts' keys and values (n * J, P, D), own keys (n * J * g, D, T) and own
values (n * J * g, T, D). Own keys stand on their side because a row's few queries then read them as they lie: a
CPU's product would rearrange them first, at every token (a quarter of its time).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

GROWTH = 128  # own tokens the cache grows by when full


class CohortCache:
    """All layers' keys and values of one cohort, and attention over them.

    Both blocks of scores are normalised by one softmax. A group's queries read the prompt's keys in one product, so a
    prompt is read once for its g rows. With ``fixed_shapes`` a step is the same sequence of kernels on the same memory
    until the cache grows, so that it can be captured: the place to write is a tensor, and what is not yet written is
    masked instead of sliced away.
    """

    def __init__(
        self,
        *,
        prefix: Tensor,
        lengths_n: Sequence[int],
        rows_per_prompt: int,
        fixed_shapes: bool,
    ) -> None:
        """``prefix`` holds keys and values (layers, 2, n, J, P, D); ``lengths_n`` are the prompts' true lengths."""
        layers, _, self._n, self._heads, longest, self._width = prefix.shape
        self._g = rows_per_prompt
        self._lengths_n = list(lengths_n)
        self._prefix = prefix.flatten(2, 3)
        self._padding = _padding_bias(lengths_n, longest, self._heads, like=prefix)
        batch = self.rows * self._heads
        self._own_keys = prefix.new_empty(layers, batch, self._width, 0)
        self._own_values = prefix.new_empty(layers, batch, 0, self._width)
        self._stored = 0
        self._slot: Tensor | None = None
        self._unwritten: Tensor | None = None
        if fixed_shapes:
            self._slot = torch.tensor([-1], device=self.device)
            self._unwritten = torch.empty(1, 1, 0, dtype=_score_type(prefix.dtype), device=self.device)

    @property
    def rows(self) -> int:
        """How many rows attend."""
        return self._n * self._g

    @property
    def rows_per_prompt(self) -> int:
        """How many rows share a prompt."""
        return self._g

    @property
    def prompt_tokens(self) -> int:
        """How many prompt tokens are held, padding included."""
        return self._n * self._prefix.shape[3]

    @property
    def device(self) -> torch.device:
        """The device of keys and values."""
        return self._prefix.device

    def reserve(self) -> bool:
        """Make room for one more own token of every row; whether memory has moved for it."""
        full = self._stored == self._room
        if full:
            self._own_keys = F.pad(self._own_keys, (0, GROWTH))
            self._own_values = F.pad(self._own_values, (0, 0, 0, GROWTH))
            if self._unwritten is not None:
                self._unwritten = F.pad(self._unwritten, (0, GROWTH), value=-torch.inf)
        self._stored += 1
        return full

    def advance(self) -> None:
        """Go on to the place reserved; once a step, before its first ``attend``."""
        if self._slot is not None and self._unwritten is not None:
            self._slot += 1
            self._unwritten.index_fill_(2, self._slot, 0.0)

    def attend(self, layer: int, q_RHD: Tensor, k_RJD: Tensor, v_RJD: Tensor) -> Tensor:
        """Append this token's keys and values, then attend: (R, H * D). Queries come scaled."""
        n, g, J, D = self._n, self._g, self._heads, self._width
        t = self._stored if self._slot is None else self._room
        own_keys, own_values = self._own_keys[layer], self._own_values[layer]
        self._write(own_keys.mT, k_RJD)
        self._write(own_values, v_RJD)
        q_nJgED = q_RHD.view(n, g, J, -1, D).transpose(1, 2).contiguous()
        E = q_nJgED.shape[3]
        to_prefix = _scores(q_nJgED.view(n * J, g * E, D), self._prefix[layer, 0].mT, self._padding)
        to_own = _scores(q_nJgED.view(n * J * g, E, D), own_keys[:, :, :t], self._unwritten)
        longest = to_prefix.shape[2]
        scores = torch.cat((to_prefix.view(-1, longest), to_own.view(-1, t)), -1)
        p = scores.softmax(-1).to(q_RHD.dtype)
        from_prefix = torch.bmm(p.view(n * J, g * E, -1)[..., :longest], self._prefix[layer, 1])
        from_own = torch.bmm(p.view(n * J * g, E, -1)[..., longest:], own_values[:, :t])
        attended = from_prefix.view(n, J, g, E, D) + from_own.view(n, J, g, E, D)
        return attended.transpose(1, 2).reshape(self.rows, -1)

    @property
    def _room(self) -> int:
        return self._own_values.shape[2]

    def _write(self, own: Tensor, new_RJD: Tensor) -> None:
        places = own.unflatten(0, (self._n, self._heads, self._g))
        new = new_RJD.view(self._n, self._g, self._heads, self._width).transpose(1, 2)
        if self._slot is None:
            places[:, :, :, self._stored - 1] = new
        else:
            places.index_copy_(3, self._slot, new.unsqueeze(3))

    def read(self, row: int, start: int, stop: int) -> Tensor:
        """A copy (layers, 2, J, stop - start, D) of what a row holds at its places ``start`` to ``stop``, of which the
        first are its prompt's.
        """
        prompt, member = divmod(row, self._g)
        length = self._lengths_n[prompt]
        prefix = self._prefix.unflatten(2, (self._n, self._heads))[:, :, prompt]
        places = slice(max(start - length, 0), max(stop - length, 0))
        held = (self._own_keys.mT, self._own_values)
        own = [x.unflatten(1, (self._n, self._heads, self._g))[:, prompt, :, member, places] for x in held]
        return torch.cat([prefix[..., start : min(stop, length), :], torch.stack(own, 1)], -2)

    def keep(self, prompts: Sequence[int], rows: Sequence[int]) -> None:
        """Drop all others; ``rows`` are row indices, equally many for each kept prompt and in its order."""
        device = self.device
        heads = torch.arange(self._heads)
        kept_nJ = (torch.tensor(prompts)[:, None] * self._heads + heads).flatten()
        rows_ng = torch.tensor(rows).view(len(prompts), -1) % self._g
        kept_nJg = (kept_nJ.view(len(prompts), -1, 1) * self._g + rows_ng[:, None]).flatten().to(device)
        kept_nJ = kept_nJ.to(device)
        self._prefix = self._prefix[:, :, kept_nJ]
        self._lengths_n = [self._lengths_n[prompt] for prompt in prompts]
        if self._padding is not None:
            self._padding = self._padding[kept_nJ]
        self._own_keys, self._own_values = self._own_keys[:, kept_nJg], self._own_values[:, kept_nJg]
        self._n, self._g = rows_ng.shape


def _scores(q: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
    """Scores (batch, queries, tokens), at least float32, of queries (batch, queries, D) and keys (batch, D, tokens)."""
    if q.dtype != torch.float32 and q.is_cuda:
        scores = torch.bmm(q, keys, out_dtype=torch.float32)
    elif q.dtype.itemsize < 4:
        scores = torch.bmm(q.float(), keys.float())
    else:
        return torch.bmm(q, keys) if bias is None else torch.baddbmm(bias, q, keys)
    return scores if bias is None else scores + bias


def _score_type(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _padding_bias(lengths: Sequence[int], longest: int, heads: int, *, like: Tensor) -> Tensor | None:
    """-inf on the padding of shorter prompts, (nJ, 1, P) in at least float32; None when all are equally long."""
    if min(lengths) == longest:
        return None
    padding = torch.arange(longest) >= torch.tensor(lengths)[:, None]
    bias = torch.zeros(padding.shape, dtype=_score_type(like.dtype)).masked_fill_(padding, -torch.inf)
    return bias.repeat_interleave(heads, 0)[:, None].to(like.device)
