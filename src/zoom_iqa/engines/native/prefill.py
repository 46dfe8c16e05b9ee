"""Prompts -> keys, values and first hidden states: each distinct prompt once, common beginnings once, without padding,
and of a prompt that extends something stored only what is new.

Legend: n prompts, T packed tokens, W of them last ones, L tokens of a prompt, J key heads, P longest prompt, D head
width, H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoom_iqa.engines.native.prefix_store import Piece, PrefixStore, limited
from zoom_iqa.policy.embedding import embed
from zoom_iqa.policy.encoding import EncodedPrompt
from zoom_iqa.policy.packed_layout import CrossBlock, PackedLayout, PastBlock, Pattern, Run, merged_runs
from zoom_iqa.policy.packing import WORTH_SHARING, PackedSequences, pack_sequences
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.prefix_tree import TokenSequence, sequence_of
from zoom_iqa.policy.shared_prefix import forward_packed
from zoom_iqa.policy.vision_cache import VisionCache


@dataclass(frozen=True, eq=False)
class _Start:
    """A prompt's stored keys and values, piece by piece, and where its other tokens are among the packed ones."""

    past: tuple[Tensor, ...]
    places_L: Tensor

    @property
    def stored(self) -> int:
        """How many tokens are stored."""
        return sum(kv.shape[-2] for kv in self.past)


@dataclass(frozen=True, eq=False)
class Prefilled:
    """Per prompt the hidden state (n, H) that predicts its first completion token; per layer packed keys and values."""

    hidden_nH: Tensor
    kept: tuple[tuple[Tensor, Tensor], ...]
    starts: tuple[_Start, ...]

    def padded(self, prompts: Sequence[int]) -> Tensor:
        """Keys and values (layers, 2, len(prompts), J, P, D); shorter prompts end in padding."""
        starts = [self.starts[i] for i in prompts]
        longest = max(start.stored + len(start.places_L) for start in starts)
        index_nP = torch.zeros(len(starts), longest, dtype=torch.long)
        for row, start in zip(index_nP, starts, strict=True):
            row[start.stored : start.stored + len(start.places_L)] = start.places_L
        index_nP = index_nP.to(self.hidden_nH.device)
        _, heads, _, width = self.kept[0][0].shape
        prefix = self.kept[0][0].new_empty(len(self.kept), 2, len(starts), heads, longest, width)
        for layer, pair in zip(prefix, self.kept, strict=True):
            for to, packed in zip(layer, pair, strict=True):
                to.copy_(packed[0][:, index_nP].transpose(0, 1))
        for row, start in enumerate(starts):
            at = 0
            for kv in start.past:
                prefix[:, :, row, :, at : at + kv.shape[-2]] = kv
                at += kv.shape[-2]
        return prefix


def prefill(policy: Policy, prompts: Sequence[EncodedPrompt], features: VisionCache, store: PrefixStore) -> Prefilled:
    """One forward over all that is new in the prompts, laid end to end."""
    sequences = [sequence_of(prompt, torch.zeros(0, dtype=torch.long)) for prompt in prompts]
    pasts = [_past(sequence, store) for sequence in sequences]
    alike: dict[tuple[Piece, ...], list[int]] = {}
    for number, past in enumerate(pasts):
        alike.setdefault(past, []).append(number)
    parts = [pack_sequences([_after(sequences[i], past) for i in numbers]) for past, numbers in alike.items()]
    starts: dict[int, _Start] = {}
    for part, offset, (past, numbers) in zip(parts, _offsets(parts), alike.items(), strict=True):
        kvs = tuple(piece.kv for piece in past)
        starts |= {i: _Start(kvs, places_L + offset) for i, places_L in zip(numbers, part.places, strict=True)}
    ordered = tuple(starts[i] for i in range(len(prompts)))
    last_W, of_prompt_n = torch.stack([start.places_L[-1] for start in ordered]).unique(return_inverse=True)
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    layout = PackedLayout.of(_pattern(parts, list(alike)), last_W, kept=kept)
    images = [image for part in parts for image in part.images]
    ids_T = torch.cat([part.ids_T for part in parts]).to(policy.device)
    embedded_TH = embed(policy, ids_T, features(images) if images else [])
    positions_3T = torch.cat([part.positions_3T for part in parts], 1)
    hidden_WH = forward_packed(policy.model, embedded_TH, positions_3T, layout)
    return Prefilled(hidden_WH[of_prompt_n.to(hidden_WH.device)], tuple(kept[layer] for layer in sorted(kept)), ordered)


def _past(sequence: TokenSequence, store: PrefixStore) -> tuple[Piece, ...]:
    """The stored beginning of a prompt, if it is worth an attention call; never all, as the last token predicts."""
    pieces = limited(store.find(sequence.tokens_5L), len(sequence) - 1)
    return tuple(pieces) if sum(piece.length for piece in pieces) >= WORTH_SHARING else ()


def _after(sequence: TokenSequence, past: tuple[Piece, ...]) -> TokenSequence:
    stored = sum(piece.length for piece in past)
    images = tuple((place - stored, image) for place, image in sequence.images if place >= stored)
    return TokenSequence(sequence.tokens_5L[:, stored:], images)


def _offsets(parts: Sequence[PackedSequences]) -> list[int]:
    """The beginning of each part when they are laid end to end."""
    lengths = torch.tensor([0] + [len(part.ids_T) for part in parts[:-1]])
    offsets: list[int] = lengths.cumsum(0).tolist()
    return offsets


def _pattern(parts: Sequence[PackedSequences], pasts: Sequence[tuple[Piece, ...]]) -> Pattern:
    """Who sees whom when the parts are laid end to end, each with its stored pieces before it."""
    runs: list[Run] = []
    blocks: list[CrossBlock] = []
    looking: dict[Piece, list[list[int]]] = {}  # by piece, the tokens that look back at it
    for part, past, offset in zip(parts, pasts, _offsets(parts), strict=True):
        runs += [replace(run, queries=run.queries + offset, keys=run.keys + offset) for run in part.pattern.runs]
        blocks += [
            CrossBlock(_moved(block.keys, offset), _moved(block.queries, offset)) for block in part.pattern.blocks
        ]
        for piece in past:
            spans = looking.setdefault(piece, [])
            if spans and spans[-1][1] == offset:
                spans[-1][1] += len(part.ids_T)
            else:
                spans.append([offset, offset + len(part.ids_T)])
    past_blocks = tuple(PastBlock(piece.kv, slice(*span)) for piece, spans in looking.items() for span in spans)
    return Pattern(merged_runs(runs), tuple(blocks), past_blocks)


def _moved(span: slice, offset: int) -> slice:
    return slice(span.start + offset, span.stop + offset)
