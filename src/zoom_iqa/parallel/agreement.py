"""Processes of a run tell one another in words: lines of all of them, and an error of one that ends all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from zoom_iqa.base.errors import AnswersError
from zoom_iqa.base.printable import printable
from zoom_iqa.parallel.reducer import Reducer


def gathered_lines(lines: Sequence[str], reducer: Reducer) -> list[str]:
    """The lines of all processes, in rank order; every process must call it."""
    text = "".join(printable(line) + "\n" for line in lines)
    encoded, _ = reducer.gather(torch.tensor(list(text.encode()), dtype=torch.uint8))
    return bytes(encoded.tolist()).decode().split("\n")[:-1]


@contextmanager
def agreed_answers(reducer: Reducer) -> Iterator[None]:
    """When answers come to an end in one process's block, all raise at the end of theirs: none waits for another.

    Every process must come here, and the block must not wait for other processes after an answer.

    Raises:
        AnswersError: of this process as it was, or in the words of another.
    """
    own: AnswersError | None = None
    try:
        yield
    except AnswersError as error:
        own = error
    said = gathered_lines([] if own is None else [str(own)], reducer)
    if own is not None:
        raise own
    if said:
        raise AnswersError(f"another process of this run: {said[0]}")
