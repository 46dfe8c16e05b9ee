"""How the sequences of a token table are cut: into mini-batches that are learned from, and runs that fit memory.

Legend: K sequences, T generated tokens of the table, U those of a micro-batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoom_iqa.learning.token_table import TokenTable
from zoom_iqa.policy.packing import PackedSize, PromptCompletion, sharing_order


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """Some sequences of a table, by index, and the indices of their tokens in it."""

    sequences: tuple[int, ...]
    tokens_U: Tensor


def split_trajectories(table: TokenTable, parts: int) -> list[list[int]]:
    """Sequence indices of ``parts`` runs of whole trajectories, as equal as can be."""
    trajectory_K = table.trajectory_T[table.starts_K]
    total = int(trajectory_K.max()) + 1
    bounds = [round(total * i / parts) for i in range(parts + 1)]
    return [
        [k for k, n in enumerate(trajectory_K.tolist()) if low <= n < high] for low, high in itertools.pairwise(bounds)
    ]


def micro_batches_of(
    table: TokenTable, chosen: Sequence[int], budget: int, *, view: Sequence[PromptCompletion] | None = None
) -> list[MicroBatch]:
    """Cut the chosen sequences into runs of at most ``budget`` tokens; what several begin with counts once in a run.

    A sequence over the budget makes a run of its own. ``view`` are the table's sequences under other prompts, which are
    then the ones counted.
    """
    seen = table.sequences if view is None else view
    lengths_K, starts_K = table.lengths_K, table.starts_K
    return [
        MicroBatch(
            tuple(run),
            torch.cat([torch.arange(int(starts_K[k]), int(starts_K[k] + lengths_K[k])) for k in run]),
        )
        for run in _runs(seen, chosen, budget)
    ]


def images_to_come(table: TokenTable, micro_batches: Sequence[MicroBatch]) -> list[set[str]]:
    """For each micro-batch, the keys of the images that those after it show."""
    to_come: list[set[str]] = [set()]
    for micro in reversed(micro_batches[1:]):
        shown = {image.key for k in micro.sequences for image in table.sequences[k].prompt.images}
        to_come.append(to_come[-1] | shown)
    return to_come[::-1]


def _runs(seen: Sequence[PromptCompletion], chosen: Sequence[int], budget: int) -> Iterator[list[int]]:
    run: list[int] = []
    packed, size = PackedSize(), 0
    for k in [chosen[i] for i in sharing_order([seen[k] for k in chosen])]:
        added = packed.added_by(seen[k])
        if run and size + added > budget:
            yield run
            run, packed, size = [], PackedSize(), 0
            added = packed.added_by(seen[k])
        run.append(k)
        packed.add(seen[k])
        size += added
    if run:
        yield run
