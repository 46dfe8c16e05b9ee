"""Token sequences as a tree: where several begin alike, the tokens they have in common exist once.

Tokens are alike when a model sees the same: the id, at image tokens the image, and the M-RoPE position. Keys of
prompts are not asked, so that sharing is right by construction.

Legend: L tokens of a sequence, N tokens of a node, C tokens of a completion; 5 numbers tell tokens apart: the id, a
digest of the image (0 for text), and the position on three axes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zoom_iqa.policy.encoding import EncodedImage, EncodedPrompt

Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenSequence:
    """A prompt and tokens after it, with the images and the place of each one's first token."""

    tokens_5L: Tokens
    images: tuple[tuple[int, EncodedImage], ...]

    def __len__(self) -> int:
        return self.tokens_5L.shape[1]


def sequence_of(prompt: EncodedPrompt, completion_C: Tensor) -> TokenSequence:
    """A prompt continued by a completion, which may be empty."""
    length, more = len(prompt.ids_L), len(completion_C)
    tokens_5L = np.zeros((5, length + more), dtype=np.int64)
    tokens_5L[0, :length], tokens_5L[0, length:] = prompt.ids_L.numpy(), completion_C.numpy()
    tokens_5L[2:, :length] = prompt.positions_3L.numpy()
    tokens_5L[2:, length:] = prompt.next_position + np.arange(more)
    for image, (start, stop) in zip(prompt.images, prompt.image_spans, strict=True):
        tokens_5L[1, start:stop] = _digest(image.key)
    starts = (start for start, _ in prompt.image_spans)
    return TokenSequence(tokens_5L, tuple(zip(starts, prompt.images, strict=True)))


def shared_length(a_5L: Tokens, b_5L: Tokens) -> int:
    """How many tokens two sequences have in common from their beginning on."""
    length = min(a_5L.shape[1], b_5L.shape[1])
    differs_L = (a_5L[:, :length] != b_5L[:, :length]).any(0)
    return int(differs_L.argmax()) if differs_L.any() else length


def first_token(tokens_5L: Tokens) -> tuple[int, ...]:
    """The first token, to look a branch up by."""
    return tuple(tokens_5L[:, 0].tolist())


@dataclass(eq=False)
class Node:
    """Tokens from place ``start`` of every sequence that runs through it; two or more ``children``, or none.

    ``endings`` are the numbers of sequences whose last token is in here, or in the part of it that a split has since
    made its parent.
    """

    start: int
    tokens_5N: Tokens
    images: list[tuple[int, EncodedImage]]
    children: dict[tuple[int, ...], Node] = field(default_factory=dict)
    endings: list[int] = field(default_factory=list)

    @property
    def stop(self) -> int:
        """The place after its last token."""
        return self.start + self.tokens_5N.shape[1]


class PrefixTree:
    """A radix tree of the sequences added: branches part at the first token that differs."""

    def __init__(self) -> None:
        self.root = Node(0, np.zeros((5, 0), dtype=np.int64), [])
        self._added = 0

    def new_tokens(self, sequence: TokenSequence) -> int:
        """How many of its tokens are not in the tree yet."""
        return len(sequence) - self._find(sequence)[2]

    def add(self, sequence: TokenSequence) -> None:
        """Add a sequence; they are numbered in the order they come."""
        parent, node, found = self._find(sequence)
        number, self._added = self._added, self._added + 1
        if found < len(sequence):
            if found < node.stop:
                node = _split(parent, node, found)
            rest = Node(found, sequence.tokens_5L[:, found:], [image for image in sequence.images if image[0] >= found])
            if node is self.root or node.children:
                node.children[first_token(rest.tokens_5N)] = rest
                node = rest
            else:  # a leaf that the sequence continues: nothing else runs through it
                node.tokens_5N = np.concatenate([node.tokens_5N, rest.tokens_5N], 1)
                node.images += rest.images
        node.endings.append(number)

    def nodes(self) -> list[Node]:
        """All nodes but the root, each before those below it."""
        found: list[Node] = []
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting.extend(reversed(node.children.values()))
        return found[1:]

    def _find(self, sequence: TokenSequence) -> tuple[Node, Node, int]:
        """The node in which a sequence leaves the tree or ends, that node's parent, and how many tokens are found."""
        parent = node = self.root
        while node.stop < len(sequence):
            child = node.children.get(first_token(sequence.tokens_5L[:, node.stop :]))
            if child is None:
                break
            parent, node = node, child
            found = node.start + shared_length(node.tokens_5N, sequence.tokens_5L[:, node.start :])
            if found < node.stop:
                return parent, node, found
        return parent, node, min(node.stop, len(sequence))


def _split(parent: Node, node: Node, at: int) -> Node:
    """Make the part of a node before place ``at`` its parent; that part."""
    size = at - node.start
    before = Node(node.start, node.tokens_5N[:, :size], [image for image in node.images if image[0] < at])
    parent.children[first_token(before.tokens_5N)] = before
    node.start, node.tokens_5N = at, node.tokens_5N[:, size:]
    node.images = [image for image in node.images if image[0] >= at]
    before.children[first_token(node.tokens_5N)] = node
    return before


def _digest(key: str) -> int:
    """A number above 0 for an image's key."""
    return 1 + (int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 2)
