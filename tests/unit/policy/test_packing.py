"""What is packed: every sample's tokens are there, see what they would see alone, and common ones are there once."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.written_prompts import IMAGE_PAD, written_prompt
from zoom_iqa.policy import packing
from zoom_iqa.policy.packed_layout import CrossBlock, Pattern, Run
from zoom_iqa.policy.packing import PackedBatch, PackedSize, PromptCompletion, pack_samples, sharing_order

PIECES = st.lists(st.sampled_from([1, 2, "a", "b"]), min_size=1, max_size=7)
COMPLETION = st.lists(st.integers(1, 2), min_size=1, max_size=5)
PLANS = st.lists(st.tuples(PIECES, COMPLETION), min_size=1, max_size=8)


def samples_of(plan: list[tuple[list[int | str], list[int]]]) -> list[PromptCompletion]:
    return [PromptCompletion(written_prompt(p), str(p), torch.tensor(c)) for p, c in plan]


def seen_by(pattern: Pattern, rows: int) -> list[list[int]]:
    """For each row that attends the tokens, in their order, that its run and the blocks let it see."""
    seen: list[list[int]] = [[] for _ in range(rows)]
    for block in pattern.blocks:
        for query in range(block.queries.start, block.queries.stop):
            seen[query] += range(block.keys.start, block.keys.stop)
    for run in pattern.runs:
        for i in range(run.count * run.length):
            piece = run.keys + i - i % run.length
            seen[run.queries + i] += range(piece, run.keys + i + 1)
    return [sorted(tokens) for tokens in seen]


def images_by_token(batch: PackedBatch) -> dict[int, str]:
    """Which image each image token shows, if features are filled in in order."""
    places = (batch.ids_T == IMAGE_PAD).nonzero()[:, 0].tolist()
    assert len(places) == 2 * len(batch.images)
    return {place: batch.images[i // 2].key for i, place in enumerate(places)}


@pytest.mark.parametrize("worth", [1, 3, 1000])
@given(plan=PLANS)
def test_every_token_sees_what_it_would_see_alone(worth: int, plan: list[tuple[list[int | str], list[int]]]) -> None:
    samples = samples_of(plan)
    with patch.object(packing, "WORTH_SHARING", worth):
        batch = pack_samples(samples)
    seen, images = seen_by(batch.layout.pattern, len(batch.ids_T)), images_by_token(batch)
    predicting_N = batch.layout.wanted_W[batch.predicting_N]
    assert sorted({*predicting_N.tolist()}) == batch.layout.wanted_W.tolist()
    last = seen_by(batch.layout.last, len(batch.layout.wanted_W))
    assert last == [seen[token] for token in batch.layout.wanted_W.tolist()]
    starts = [0, *torch.tensor([len(sample.completion_C) for sample in samples]).cumsum(0).tolist()]
    for number, (sample, start) in enumerate(zip(samples, starts, strict=False)):
        prompt = sample.prompt
        predicting = predicting_N[start : starts[number + 1]].tolist()
        path = seen[predicting[-1]]
        assert batch.ids_T[path].tolist() == [*prompt.ids_L.tolist(), *sample.completion_C[:-1].tolist()]
        for i, token in enumerate(path):
            assert seen[token] == path[: i + 1]
        assert predicting == path[len(prompt.ids_L) - 1 :]
        after = prompt.next_position + torch.arange(len(predicting) - 1)
        expected = torch.cat([prompt.positions_3L, after.expand(3, -1)], 1)
        assert batch.positions_3T[:, path].equal(expected)
        assert [images[token] for token in path if token in images] == [
            image.key for image in prompt.images for _ in range(2)
        ]
    together = {tuple(map(str, p)) + tuple(map(str, c[:-1])) for p, c in plan}
    distinct = {whole[: n + 1] for whole in together for n in range(len(whole))}
    text_only = all(isinstance(piece, int) for p, _ in plan for piece in p)
    if worth == 1 and text_only:
        assert len(batch.ids_T) == len(distinct)
    if worth == 1000:  # still without samples that are wholly the beginning of others
        assert batch.layout.pattern.blocks == ()


def test_equal_prompts_stand_once_and_short_common_beginnings_are_repeated() -> None:
    long = [1] * packing.WORTH_SHARING
    plan = [
        ([7, "a"], [1, 2, 3, 4]),
        ([7, "b"], [5]),
        ([7, "a"], [6, 7]),
        ([*long, "c"], [3, 4]),
        ([*long, "c"], [5, 6]),
    ]
    batch = pack_samples(samples_of(plan))
    ids = batch.ids_T.tolist()
    short = [[7, 99, 99], [7, 99, 99, 6], [7, 99, 99, 1, 2, 3]]
    assert ids == [*short[0], *short[1], *short[2], *long, 99, 99, 3, 5]
    assert batch.layout.pattern.runs == (
        Run(0, 0, 1, 3),
        Run(3, 3, 1, 4),
        Run(7, 7, 1, 6),
        Run(13, 13, 1, 34),
        Run(47, 47, 2, 1),
    )
    assert batch.layout.pattern.blocks == (CrossBlock(slice(13, 47), slice(47, 49)),)
    assert [image.key for image in batch.images] == ["b", "a", "a", "c"]


def test_a_prompt_with_one_completion_is_one_causal_piece() -> None:
    layout = pack_samples(samples_of([([7, "a", 8], [1, 2, 3])])).layout
    assert (layout.pattern.runs, layout.pattern.blocks) == ((Run(0, 0, 1, 6),), ())
    assert layout.wanted_W.tolist() == [3, 4, 5]
    assert (layout.last.runs, layout.last.blocks) == ((Run(0, 3, 1, 3),), (CrossBlock(slice(0, 3), slice(0, 3)),))


def test_turns_of_a_growing_conversation_cost_its_length() -> None:
    """Three turns of two conversations over one image: the first prompt once, then each conversation once."""
    first = [*range(1, 41), "a"]
    plan, conversations = [], []
    for start in (50, 60):
        pieces: list[int | str] = list(first)
        for turn in range(3):
            completion = [start + turn, 3, 4]
            plan.append((list(pieces), completion))
            pieces += [*completion, 5, "b"]
        conversations.append(pieces[len(first) : -3])  # without the last answer's last token and what follows
    batch = pack_samples(samples_of(plan))
    tokens = sum(2 if isinstance(piece, str) else 1 for pieces in (first, *conversations) for piece in pieces)
    assert len(batch.ids_T) == tokens
    assert batch.layout.pattern.runs == (Run(0, 0, 1, 42), Run(42, 42, 2, (tokens - 42) // 2))
    assert [image.key for image in batch.images] == ["a", "b", "b", "b", "b"]
    assert batch.ids_T[batch.layout.wanted_W[batch.predicting_N]].reshape(6, 3)[:, 1].tolist() == [
        50,
        51,
        52,
        60,
        61,
        62,
    ]


@given(plan=PLANS)
def test_the_size_of_samples_together_is_that_of_what_is_packed(plan: list[tuple[list[int | str], list[int]]]) -> None:
    samples = samples_of(plan)
    size, total = PackedSize(), 0
    for number, sample in enumerate(samples):
        total += size.added_by(sample)
        size.add(sample)
        with patch.object(packing, "WORTH_SHARING", 1):
            assert total == len(pack_samples(samples[: number + 1]).ids_T)


def test_turns_of_a_chain_and_equal_prompts_are_neighbours() -> None:
    plan = [
        ([1, "a"], [2, 3]),
        ([1, "b"], [2, 3]),
        ([1, "a"], [4, 5]),
        ([1, "a", 2, 3, 6], [7]),
        ([1, "b", 2, 3, 6], [7]),
    ]
    assert sharing_order(samples_of(plan)) == [0, 3, 2, 1, 4]
