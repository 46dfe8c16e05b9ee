"""Prompts and completions -> one packed sequence in which what several of them begin with stands once.

A later turn whose prompt holds the turns before it runs on where they end: a conversation is one row of tokens, however
many of its turns are asked for, and completions of one prompt branch off it.

Legend: T packed tokens, N completion tokens, L tokens of a sequence, C tokens of one completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt
from zoom_iqa.policy.packed_layout import CrossBlock, PackedLayout, Pattern, Run, merged_runs
from zoom_iqa.policy.prefix_tree import Node, PrefixTree, TokenSequence, sequence_of

WORTH_SHARING = 32
"""Repeated tokens that cost as much as one more attention call a layer: measured, on a CPU two prompts of 300 tokens
break even at 16 tokens in common and gain 2 % at 32; 32 completions of 128 that begin alike never lost."""


@dataclass(frozen=True, eq=False)
class PromptCompletion:
    """A prompt and one completion of it. Equal ``prompt_key`` means an identical prompt."""

    prompt: EncodedPrompt
    prompt_key: str
    completion_C: Tensor


@dataclass(frozen=True, eq=False)
class PackedSequences:
    """Several sequences as one. ``images`` stand in the order of their tokens; ``places`` says of each sequence where
    its tokens are. Everything on the CPU.
    """

    ids_T: Tensor
    positions_3T: Tensor
    images: tuple[EncodedImage, ...]
    pattern: Pattern
    places: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Everything on the CPU. ``images`` stand in the order of their tokens.

    ``predicting_N``: for each completion token, in the order the samples came in, which of the tokens that the layout
    wants predicts it.
    """

    ids_T: Tensor
    positions_3T: Tensor
    images: tuple[EncodedImage, ...]
    layout: PackedLayout
    predicting_N: Tensor


def pack_samples(samples: Sequence[PromptCompletion]) -> PackedBatch:
    """Lay out samples without their last tokens, which predict nothing."""
    packed = pack_sequences([_forwarded(sample) for sample in samples])
    predicting = []
    for sample, places_L in zip(samples, packed.places, strict=True):
        before = len(sample.prompt.ids_L) - 1
        predicting.append(places_L[before : before + len(sample.completion_C)])
    wanted_W, predicting_N = torch.cat(predicting).unique(return_inverse=True)
    layout = PackedLayout.of(packed.pattern, wanted_W)
    return PackedBatch(packed.ids_T, packed.positions_3T, packed.images, layout, predicting_N)


class PackedSize:
    """How many distinct tokens samples have: as many are forwarded when they are packed together, but for common
    beginnings that are too short to be worth sharing.
    """

    def __init__(self) -> None:
        self._tree = PrefixTree()

    def added_by(self, sample: PromptCompletion) -> int:
        """How many tokens one more sample would add."""
        return self._tree.new_tokens(_forwarded(sample))

    def add(self, sample: PromptCompletion) -> None:
        """Count a sample in."""
        self._tree.add(_forwarded(sample))


def sharing_order(samples: Sequence[PromptCompletion]) -> list[int]:
    """Indices of samples in an order in which those that begin alike, such as the turns of one chain, are neighbours;
    by first occurrence otherwise.
    """
    tree = PrefixTree()
    for sample in samples:
        tree.add(_forwarded(sample))
    return [number for node in tree.nodes() for number in sorted(node.endings)]


def _forwarded(sample: PromptCompletion) -> TokenSequence:
    """A sample without its last token, which predicts nothing."""
    return sequence_of(sample.prompt, sample.completion_C[:-1])


def pack_sequences(sequences: Sequence[TokenSequence]) -> PackedSequences:
    """Lay out what sequences have in common once, each branch before those below it, shortest leaves first."""
    tree = PrefixTree()
    for sequence in sequences:
        tree.add(sequence)
    placed = _place(_branches(tree))
    tokens_5T = np.concatenate([node.tokens_5N for place in placed for node in place.branch.nodes], 1)
    places: dict[int, Tensor] = {}
    for place in placed:
        for number in place.branch.endings:
            places[number] = torch.from_numpy(place.path_L[: len(sequences[number])])
    return PackedSequences(
        ids_T=torch.from_numpy(tokens_5T[0]),
        positions_3T=torch.from_numpy(tokens_5T[2:]),
        images=tuple(image for place in placed for node in place.branch.nodes for _, image in node.images),
        pattern=Pattern(
            runs=merged_runs(Run(place.start, place.start, 1, place.branch.own) for place in placed),
            blocks=tuple(CrossBlock(place.own, place.below) for place in placed if place.branch.below),
        ),
        places=tuple(places[number] for number in range(len(sequences))),
    )


@dataclass(frozen=True, eq=False)
class _Branch:
    """Nodes that are laid out in one piece, and the branches that part after it. A node may be in several."""

    nodes: tuple[Node, ...]
    endings: tuple[int, ...]
    below: tuple[_Branch, ...]
    own: int
    whole: int


def _branch(nodes: tuple[Node, ...], endings: tuple[int, ...], below: tuple[_Branch, ...]) -> _Branch:
    own = sum(node.tokens_5N.shape[1] for node in nodes)
    return _Branch(nodes, endings, below, own, own + sum(branch.whole for branch in below))


def _branches(tree: PrefixTree) -> tuple[_Branch, ...]:
    """The tree without the nodes whose sharing does not pay: their tokens are repeated in each branch after them."""
    of_node: dict[Node, list[_Branch]] = {}
    for node in reversed([tree.root, *tree.nodes()]):
        below = [branch for child in node.children.values() for branch in of_node.pop(child)]
        below.sort(key=lambda branch: (bool(branch.below), 0 if branch.below else branch.own))
        spared = node.tokens_5N.shape[1] * (len(below) - 1)
        if below and spared < WORTH_SHARING:
            endings = [tuple(node.endings)] + [()] * len(below)
            of_node[node] = [
                _branch((node, *branch.nodes), (*ending, *branch.endings), branch.below)
                for branch, ending in zip(below, endings, strict=False)
            ]
        else:
            of_node[node] = [_branch((node,), tuple(node.endings), tuple(below))]
    return tuple(of_node[tree.root])


@dataclass(frozen=True, eq=False)
class _Placed:
    """A branch from token ``start`` on, those below it included up to ``stop``; ``path_L`` leads to its end."""

    branch: _Branch
    start: int
    stop: int
    path_L: np.ndarray

    @property
    def own(self) -> slice:
        """Its own tokens."""
        return slice(self.start, self.start + self.branch.own)

    @property
    def below(self) -> slice:
        """The tokens of the branches below it."""
        return slice(self.start + self.branch.own, self.stop)


def _place(branches: Sequence[_Branch]) -> list[_Placed]:
    """Branches in the order of their tokens."""
    placed: list[_Placed] = []
    waiting = [(branches, 0, np.zeros(0, dtype=np.int64))]
    while waiting:
        siblings, start, before_L = waiting.pop()
        for branch in siblings:
            path_L = np.concatenate([before_L, np.arange(start, start + branch.own)])
            placed.append(_Placed(branch, start, start + branch.whole, path_L))
            waiting.append((branch.below, start + branch.own, path_L))
            start += branch.whole
    return sorted(placed, key=lambda place: place.start)
