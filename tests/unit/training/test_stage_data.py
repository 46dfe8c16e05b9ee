"""Which samples a stage sees, in which process, and where it goes on."""

from __future__ import annotations

from collections import Counter
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.base.types import Example, rated_example
from zoom_iqa.data.resampling import Resampler
from zoom_iqa.training.length import Length
from zoom_iqa.training.stage_data import StageData


class Numbers:
    """Samples are their own indices; the first three quarters have one score, the rest another."""

    def __init__(self, size: int) -> None:
        self._size = size

    def items(self) -> list[Example]:
        return [
            rated_example(id=str(i), dataset="n", mos=2.0 if i < self._size * 3 // 4 else 4.0)
            for i in range(self._size)
        ]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> int:
        return index


def stage_data(
    *,
    size: int = 8,
    steps: int = 6,
    batch_size: int = 2,
    accumulate: int = 1,
    workers: int = 0,
    exponents: tuple[float, ...] = (0.0,),
    **parts: Any,
) -> StageData:
    made = {
        "dataset": Numbers(size),
        "resampling": partial(Resampler, exponents=exponents, bins=10, max_repeats=None),
    }
    return StageData(
        **{**made, **parts},
        length=Length(steps=steps, epochs=None, images=None, otherwise_images=1),
        batch_size=batch_size,
        accumulate=accumulate,
        workers=workers,
        max_lost_images=1,
        seed=3,
    )


def batches(data: StageData) -> list[list[int]]:
    return list(data.train_dataloader())


def after(data: StageData, processed: int) -> dict[str, Any]:
    """The state that a checkpoint holds when so many batches were processed in this process."""
    progress = SimpleNamespace(current=SimpleNamespace(processed=processed))
    epoch_loop = SimpleNamespace(batch_progress=progress)
    data.trainer = SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=epoch_loop))  # type: ignore[assignment]
    return data.state_dict()


def in_processes(monkeypatch: pytest.MonkeyPatch, number: int, count: int) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: count)
    monkeypatch.setattr(dist, "get_rank", lambda: number)


def test_a_stage_is_one_pass_of_so_many_batches() -> None:
    data = stage_data(size=8, steps=8, batch_size=2)
    found = batches(data)
    assert [len(batch) for batch in found] == [2] * 8
    assert len(data.train_dataloader()) == 8
    assert Counter(i for batch in found for i in batch) == dict.fromkeys(range(8), 2)  # natural: two rounds of all
    assert found == batches(stage_data(size=8, steps=8, batch_size=2))


def test_rare_scores_come_more_often_where_asked_for() -> None:
    def share_of_rare(exponents: tuple[float, ...], half: slice) -> float:
        seen = [i for batch in batches(stage_data(steps=80, exponents=exponents))[half] for i in batch]
        return sum(i >= 6 for i in seen) / len(seen)

    assert share_of_rare((0.0, 1.0), slice(0, 40)) == pytest.approx(0.25, abs=0.03)
    assert share_of_rare((0.0, 1.0), slice(40, 80)) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("processed", [1, 3, 6])
def test_a_continued_stage_sees_the_rest(workers: int, processed: int) -> None:
    """Workers have fetched more by then; what training has not used comes again."""
    whole = batches(stage_data())
    stopped = stage_data(workers=workers)
    loader = iter(stopped.train_dataloader())
    for _ in range(processed):
        next(loader)
    continued = stage_data(workers=workers)
    continued.load_state_dict(after(stopped, processed))
    assert batches(continued) == whole[processed:]


def test_processes_share_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with batches of 2 see in a step what one process sees in a batch of 4."""
    whole = batches(stage_data(batch_size=4))
    shares = []
    for number in (0, 1):
        in_processes(monkeypatch, number, 2)
        shares.append(batches(stage_data(batch_size=2)))
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(batch) for batch in whole]


def test_processes_continue_together(monkeypatch: pytest.MonkeyPatch) -> None:
    in_processes(monkeypatch, 1, 2)
    whole = batches(stage_data())
    stopped = stage_data()
    loader = iter(stopped.train_dataloader())
    next(loader)
    next(loader)
    continued = stage_data()
    continued.load_state_dict(after(stopped, 2))
    assert batches(continued) == whole[2:]


def test_a_step_accumulates_the_batches_of_the_stream() -> None:
    whole = batches(stage_data(steps=6, batch_size=2))
    assert batches(stage_data(steps=3, batch_size=2, accumulate=2)) == [
        a + b for a, b in zip(whole[::2], whole[1::2], strict=True)
    ]


def test_another_stream_is_refused() -> None:
    stopped = stage_data()
    next(iter(stopped.train_dataloader()))
    continued = stage_data(steps=7)
    continued.load_state_dict(after(stopped, 1))
    with pytest.raises(ConfigError, match="total=14, but the checkpoint has 12"):
        continued.train_dataloader()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size=0"):
        stage_data(batch_size=0)
    with pytest.raises(ConfigError, match="steps=0"):
        stage_data(steps=0)
    with pytest.raises(ConfigError, match="accumulate=0"):
        stage_data(accumulate=0)
    with pytest.raises(ConfigError, match="workers=-1"):
        stage_data(workers=-1)
    with pytest.raises(DataError, match="empty"):
        stage_data(size=0)


def test_unusable_labels_are_refused_when_the_stage_is_made() -> None:
    class Twice(Numbers):
        def items(self) -> list[Example]:
            return [*super().items()[1:], rated_example(id="1", dataset="n", mos=float("nan"))]

    with pytest.raises(DataError) as refused:
        stage_data(dataset=Twice(4))
    assert refused.value.rows == (
        "row 0, n:1: the id comes 2 times",
        "row 3, n:1: mos=nan is not a number",
        "row 3, n:1: the id comes 2 times",
    )


def test_a_weighted_stage_says_how_often_one_image_comes_up(capsys: pytest.CaptureFixture[str]) -> None:
    # 24 draws a phase from 6 images of one score and 2 of another: 3 each, then 2 of the six and 6 of the two
    stage_data(steps=24, exponents=(0.0, 1.0)).train_dataloader()
    said = "re-sampling: one of 8 images comes up at most 3, 6 times in a phase (no max_repeats)\n"
    assert capsys.readouterr().err == said
    stage_data(steps=24).train_dataloader()
    assert capsys.readouterr().err == ""


def test_a_schedule_that_is_no_stream_of_indices_is_refused_before_there_is_a_policy() -> None:
    class Shuffled:
        def __init__(self, **given: Any) -> None: ...

        def iterate(self, *, rank: int, world_size: int) -> Any: ...

    with pytest.raises(ConfigError, match=r"resampling: Shuffled has no weighted, state_dict, load_state_dict"):
        stage_data(resampling=Shuffled)
