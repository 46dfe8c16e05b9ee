"""A tree of token sequences against the set of all their beginnings."""

from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from support.written_prompts import written_prompt
from zoom_iqa.policy.prefix_tree import PrefixTree, TokenSequence, sequence_of, shared_length

PIECES = st.lists(st.sampled_from([1, 2, "a", "b"]), min_size=1, max_size=7)
COMPLETION = st.lists(st.integers(1, 2), max_size=4)
SEQUENCES = st.lists(st.tuples(PIECES, COMPLETION), min_size=1, max_size=8)


def sequence(pieces: list[int | str], completion: list[int]) -> TokenSequence:
    return sequence_of(written_prompt(pieces), torch.tensor(completion, dtype=torch.long))


def beginnings(sequence: TokenSequence) -> set[tuple[tuple[int, ...], ...]]:
    tokens = [tuple(column) for column in sequence.tokens_5L.T.tolist()]
    return {tuple(tokens[: n + 1]) for n in range(len(tokens))}


@given(SEQUENCES)
def test_each_beginning_is_in_the_tree_once(plan: list[tuple[list[int | str], list[int]]]) -> None:
    tree = PrefixTree()
    known: set[tuple[tuple[int, ...], ...]] = set()
    for pieces, completion in plan:
        added = sequence(pieces, completion)
        assert tree.new_tokens(added) == len(beginnings(added) - known)
        tree.add(added)
        known |= beginnings(added)
        assert tree.new_tokens(added) == 0
    nodes = tree.nodes()
    assert sum(node.tokens_5N.shape[1] for node in nodes) == len(known)
    assert sorted(number for node in nodes for number in node.endings) == list(range(len(plan)))
    for node in nodes:
        assert len(node.children) != 1
        assert all(child.start == node.stop for child in node.children.values())


def test_tokens_are_compared_by_all_a_model_sees() -> None:
    base = sequence([1, "a", 2], [3])
    assert shared_length(base.tokens_5L, sequence([1, "a", 2, 3, 1], []).tokens_5L) == 4 + 1  # 3 is where 3 was
    assert shared_length(base.tokens_5L, sequence([1, "b", 2], [3]).tokens_5L) == 1  # another image
    assert shared_length(base.tokens_5L, sequence([1, "a", 1], [3]).tokens_5L) == 3  # another word
    moved = written_prompt([1, "a", 2])
    moved.positions_3L[2, 2] += 1
    assert shared_length(base.tokens_5L, sequence_of(moved, torch.tensor([3])).tokens_5L) == 2  # another place
    later = replace(written_prompt([1, "a", 2]), next_position=9)
    assert shared_length(base.tokens_5L, sequence_of(later, torch.tensor([3])).tokens_5L) == 4


def test_a_conversation_that_grows_is_one_node_with_its_images() -> None:
    tree = PrefixTree()
    for pieces, completion in (([1, "a"], [2]), ([1, "a", 2, 5, "b"], [3, 4]), ([1, "a", 2, 5, "b", 3, 4, 6], [])):
        tree.add(sequence(pieces, completion))
    (node,) = tree.nodes()
    assert node.tokens_5N[0].tolist() == [1, 99, 99, 2, 5, 99, 99, 3, 4, 6]
    assert [(start, image.key) for start, image in node.images] == [(1, "a"), (5, "b")]
    assert node.endings == [0, 1, 2]
