"""The store of keys and values against a table of all beginnings it should hold."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from support.written_prompts import written_prompt
from zoom_iqa.engines.native.prefix_store import PrefixStore, limited
from zoom_iqa.policy.prefix_tree import Tokens, sequence_of

PIECES = st.lists(st.sampled_from([1, 2, "a"]), min_size=1, max_size=6)
ADD = st.tuples(st.just("add"), PIECES)
SHRINK = st.tuples(st.just("shrink"), st.integers(0, 12))


def tokens_of(pieces: list[int | str]) -> Tokens:
    return sequence_of(written_prompt(pieces), torch.zeros(0, dtype=torch.long)).tokens_5L


def beginnings_of(tokens_5L: Tokens) -> list[bytes]:
    return [tokens_5L[:, :n].tobytes() for n in range(1, tokens_5L.shape[1] + 1)]


def number_of(tokens_5L: Tokens, place: int) -> float:
    """Stands for a key: it follows from all tokens up to its own."""
    return float(hash(tokens_5L[:, : place + 1].tobytes()) % 10**6)


def kv_of(tokens_5L: Tokens, start: int, stop: int) -> torch.Tensor:
    """Keys of one layer and head of width 1; values are their negatives."""
    keys = torch.tensor([number_of(tokens_5L, place) for place in range(start, stop)])
    return torch.stack([keys, -keys])[None, :, None, :, None]


def put(store: PrefixStore, pieces: list[int | str]) -> None:
    tokens_5L = tokens_of(pieces)
    store.add(tokens_5L, lambda start, stop: kv_of(tokens_5L, start, stop))


def found_in(store: PrefixStore, pieces: list[int | str]) -> int:
    """How many tokens of a sequence are found; their keys and values are right."""
    tokens_5L = tokens_of(pieces)
    found = store.find(tokens_5L)
    length = sum(piece.length for piece in found)
    if found:
        assert torch.cat([piece.kv for piece in found], -2).equal(kv_of(tokens_5L, 0, length))
    return length


@given(st.lists(st.one_of(ADD, SHRINK), max_size=12), PIECES)
def test_what_is_found_is_right_and_tokens_are_counted(steps: list, asked: list[int | str]) -> None:  # type: ignore[type-arg]
    store = PrefixStore()
    whole: list[list[int | str]] = []
    for kind, what in steps:
        if kind == "add":
            put(store, what)
            whole.append(what)
        else:
            before = store.tokens
            store.shrink_to(what)
            assert store.tokens <= min(what, before)
            if what < before:
                whole = []
    beginnings = {
        tokens_of(pieces)[:, :n].tobytes() for pieces in whole for n in range(1, tokens_of(pieces).shape[1] + 1)
    }
    assert store.tokens >= len(beginnings)
    if all(kind == "add" for kind, _ in steps):
        assert store.tokens == len(beginnings)
    expected = sum(beginning in beginnings for beginning in beginnings_of(tokens_of(asked)))
    assert found_in(store, asked) >= expected
    store.clear()
    assert store.tokens == 0
    assert found_in(store, asked) == 0


def test_the_least_recently_used_goes_first_and_never_before_what_follows_on_it() -> None:
    store = PrefixStore()
    put(store, [1, 1, 1])
    put(store, [1, 1, 2, 2])  # cuts [1 1] off as the common beginning
    put(store, [2, 2])
    assert store.tokens == 7
    assert found_in(store, [1, 1, 1]) == 3  # asked for last
    store.shrink_to(6)
    assert [found_in(store, pieces) for pieces in ([1, 1, 1], [1, 1, 2, 2], [2, 2])] == [3, 2, 2]
    store.shrink_to(4)  # [2 2] was asked for last; of the other branch the end goes first
    assert store.tokens == 4
    assert [found_in(store, pieces) for pieces in ([1, 1, 1], [2, 2])] == [2, 2]
    store.shrink_to(0)
    assert store.tokens == 0


def test_segments_below_one_that_is_cut_again_can_still_go() -> None:
    store = PrefixStore()
    for pieces in ([1, 1, 1], [1, 1, 2], [1, 2]):  # [1 1] is cut off, and then cut after [1]
        put(store, pieces)
    assert store.tokens == 5
    store.shrink_to(0)
    assert store.tokens == 0


def test_pieces_cut_to_a_length() -> None:
    store = PrefixStore()
    put(store, [1, 1, 1])
    put(store, [1, 1, 2, 2])
    pieces = store.find(tokens_of([1, 1, 2, 2]))
    assert [piece.length for piece in pieces] == [2, 2]
    assert [piece.length for piece in limited(pieces, 3)] == [2, 1]
    assert [piece.length for piece in limited(pieces, 2)] == [2]
    assert limited(pieces, 0) == []
    assert limited(pieces, 9) == pieces


def test_keys_held_by_a_reader_stay_right_when_their_segment_is_cut() -> None:
    store = PrefixStore()
    put(store, [1, 1, 1])
    (piece,) = store.find(tokens_of([1, 1, 1]))
    kv = piece.kv
    put(store, [1, 2])
    assert kv.equal(kv_of(tokens_of([1, 1, 1]), 0, 3))
