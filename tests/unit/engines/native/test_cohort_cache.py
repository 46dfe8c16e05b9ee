"""A cohort's cache against softmax over each row's own keys, written out row by row."""

from __future__ import annotations

import pytest
import torch

from zoom_iqa.engines.native.cache import GROWTH, CohortCache

LAYERS, JK, E, D = 2, 2, 3, 4  # key heads, query heads per key head, width
LENGTHS = (5, 3)  # the second prompt is padded by two
G = 3


class Reference:
    """Each row's keys and values as lists."""

    def __init__(self, prefix: torch.Tensor) -> None:
        self.kv = [
            [prefix[layer, :, n, :, : LENGTHS[n]] for layer in range(LAYERS)] for n in range(2) for _ in range(G)
        ]

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out = []
        for row, kv in enumerate(self.kv):
            kv[layer] = torch.cat([kv[layer], torch.stack([k[row], v[row]])[:, :, None]], 2)
            keys, values = kv[layer]
            scores = torch.einsum("jed,jtd->jet", q[row].view(JK, E, D), keys)
            out.append(torch.einsum("jet,jtd->jed", scores.softmax(-1), values).flatten())
        return torch.stack(out)


def tensors(seed: int, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, heads, D, generator=generator) for heads in (JK * E, JK, JK))  # type: ignore[return-value]


def prefix_of(seed: int = 0) -> torch.Tensor:
    """Padding is garbage that must not count."""
    prefix = torch.randn(LAYERS, 2, 2, JK, 5, D, generator=torch.Generator().manual_seed(seed))
    prefix[:, :, 1, :, 3:] = 100.0
    return prefix


def step(cache: CohortCache, reference: Reference, seed: int) -> None:
    cache.reserve()
    cache.advance()
    for layer in range(LAYERS):
        q, k, v = tensors(10 * seed + layer, cache.rows)
        torch.testing.assert_close(cache.attend(layer, q, k, v), reference.attend(layer, q, k, v), rtol=1e-5, atol=1e-5)


def cache_and_reference(*, fixed_shapes: bool) -> tuple[CohortCache, Reference]:
    cache = CohortCache(prefix=prefix_of(), lengths_n=LENGTHS, rows_per_prompt=G, fixed_shapes=fixed_shapes)
    return cache, Reference(prefix_of())


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_rows_attend_to_their_prompt_and_their_own_tokens(fixed_shapes: bool) -> None:
    cache, reference = cache_and_reference(fixed_shapes=fixed_shapes)
    assert (cache.rows, cache.rows_per_prompt, cache.prompt_tokens) == (6, 3, 10)
    for seed in range(4):
        step(cache, reference, seed)


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_memory_grows_and_nothing_is_lost(fixed_shapes: bool) -> None:
    cache, reference = cache_and_reference(fixed_shapes=fixed_shapes)
    for seed in range(GROWTH + 2):
        step(cache, reference, seed)
    fresh = CohortCache(prefix=prefix_of(), lengths_n=LENGTHS, rows_per_prompt=G, fixed_shapes=fixed_shapes)
    assert [fresh.reserve() for _ in range(GROWTH + 1)] == [True] + [False] * (GROWTH - 1) + [True]


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize(
    ("prompts", "rows"),
    [([0, 1], [1, 2, 3, 5]), ([1], [4]), ([0], [0, 1, 2])],
)
def test_kept_rows_go_on_as_if_nothing_had_left(prompts: list[int], rows: list[int], fixed_shapes: bool) -> None:
    cache, reference = cache_and_reference(fixed_shapes=fixed_shapes)
    for seed in range(3):
        step(cache, reference, seed)
    cache.keep(prompts, rows)
    reference.kv = [reference.kv[row] for row in rows]
    assert cache.rows == len(rows)
    for row in range(len(rows)):
        length = reference.kv[row][0].shape[2]
        assert cache.read(row, 0, length).equal(torch.stack(reference.kv[row]))
    for seed in range(3, 6):
        step(cache, reference, seed)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (0, 5), (1, 7), (3, 4), (5, 7), (6, 7)])
def test_what_a_row_holds_is_read_by_place(start: int, stop: int) -> None:
    cache, reference = cache_and_reference(fixed_shapes=False)
    for seed in range(4):
        step(cache, reference, seed)
    for row in range(6):
        expected = torch.stack(reference.kv[row])[..., start:stop, :]
        found = cache.read(row, start, stop)
        assert found.equal(expected)
        found.zero_()  # a copy
        assert cache.read(row, start, stop).equal(expected)
