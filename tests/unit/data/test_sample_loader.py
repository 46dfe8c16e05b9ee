"""Errors made on purpose come out of loader workers as they were made."""

from __future__ import annotations

import multiprocessing

import pytest

from zoom_iqa.base.errors import DataError, ImageError, ZoomIQAError
from zoom_iqa.data.loader import SampleLoader


class Numbers:
    """Sample 5 fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 5 and self._error is not None:
            raise self._error
        return index


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_lists_in_order(workers: int) -> None:
    loader = SampleLoader(Numbers(), batch_size=3, workers=workers)
    assert list(loader) == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert len(loader) == 3


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "error", [ImageError("d:5.png: the file is empty; fetch it again"), DataError("2 rows", ["a\nb", "c"])]
)
def test_the_message_is_the_errors_own(workers: int, error: ZoomIQAError) -> None:
    batches = iter(SampleLoader(Numbers(error), batch_size=3, workers=workers))
    assert next(batches) == [0, 1, 2]
    with pytest.raises(type(error)) as raised:
        next(batches)
    assert str(raised.value) == str(error)
    assert vars(raised.value) == vars(error)


@pytest.mark.parametrize("workers", [0, 2])
def test_other_errors_keep_their_traceback(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(SampleLoader(Numbers(ZeroDivisionError("bug")), batch_size=3, workers=workers))


def test_threads_of_collectives_come_to_rest_before_a_process_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    start = multiprocessing.Process.start
    monkeypatch.setattr("zoom_iqa.data.loader.settle", lambda: order.append("settle"))
    monkeypatch.setattr(multiprocessing.Process, "start", lambda process: (order.append("fork"), start(process)))
    list(SampleLoader(Numbers(), batch_size=3, workers=2))
    assert order == ["settle", "fork", "fork"]
    list(SampleLoader(Numbers(), batch_size=3, workers=0))
    assert len(order) == 3
