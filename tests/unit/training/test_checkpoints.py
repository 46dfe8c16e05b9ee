"""Checkpoints: when they are written, whole at any moment, looked at before use, and nothing in them is run."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from zoom_iqa.base.errors import CheckpointError, StoppedError
from zoom_iqa.parallel.pieces import Part, split
from zoom_iqa.training import checkpoints
from zoom_iqa.training.checkpoint_pieces import NAMES, piece_names, save_piece
from zoom_iqa.training.checkpoints import (
    CheckpointFiles,
    StageCheckpoint,
    all_before,
    before,
    damage_of,
    load_checkpoint,
    remove,
    require_whole,
    resumable,
)


class Trainer:
    """Counts saves."""

    def __init__(self) -> None:
        self.saved: list[int] = []
        self.batch = 0

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        self.saved.append(self.batch + 1)

    def step(self, callback: StageCheckpoint) -> None:
        callback.on_train_batch_end(self, SimpleNamespace(), None, None, self.batch)  # type: ignore[arg-type]
        self.batch += 1


def test_a_checkpoint_after_every_so_many_steps() -> None:
    trainer, callback = Trainer(), StageCheckpoint(path=Path("last.ckpt"), every=2)
    for _ in range(5):
        trainer.step(callback)
    assert trainer.saved == [2, 4]


def test_asked_to_stop_it_saves_once_and_ends_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, callback = Trainer(), StageCheckpoint(path=Path("last.ckpt"), every=2)
    trainer.step(callback)
    trainer.step(callback)
    monkeypatch.setattr(checkpoints, "agreed_stop", lambda: signal.SIGTERM)
    with pytest.raises(StoppedError):
        trainer.step(callback)
    assert trainer.saved == [2, 3]


@pytest.mark.parametrize(("whole", "saved"), [(True, [2]), (False, [])])  # False: at once, or saved already
def test_stopped_in_a_validation_it_saves(whole: bool, saved: list[int]) -> None:
    trainer, callback = Trainer(), StageCheckpoint(path=Path("last.ckpt"), every=9)
    trainer.step(callback)
    error = StoppedError(signal.SIGTERM, whole=whole)
    callback.on_exception(trainer, SimpleNamespace(), error)  # type: ignore[arg-type]
    assert trainer.saved == saved


class Unpicklable:
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class Payload:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def saved(path: Path, *values: float, keep: int = 2) -> None:
    for value in values:
        CheckpointFiles(keep=keep).save_checkpoint({"state": torch.full((50_000,), value), "step": int(value)}, path)


def test_a_run_killed_while_it_saves_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    files, path = CheckpointFiles(keep=2), tmp_path / "new" / "last.ckpt"
    saved(path, 1.0)
    with pytest.raises(KeyboardInterrupt):
        files.save_checkpoint({"state": torch.zeros(3), "rest": Unpicklable()}, path)
    assert files.load_checkpoint(path)["step"] == 1
    saved(path, 0.0)
    assert files.load_checkpoint(path)["step"] == 0
    assert files.load_checkpoint(before(path))["step"] == 1
    assert sorted(left.name for left in path.parent.iterdir()) == ["last-before.ckpt", "last.ckpt"]
    remove(path)
    assert list(path.parent.iterdir()) == []


def test_the_last_so_many_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "last.ckpt"
    saved(path, *range(1, 13), keep=11)
    places = [path, *all_before(path)]
    assert [load_checkpoint(place)["step"] for place in places] == list(range(12, 1, -1))
    assert places[-1].name == "last-before-10.ckpt"
    for place in places[:4]:
        place.write_bytes(b"")
    assert resumable(path) == path
    assert load_checkpoint(path)["step"] == 8
    assert "going on from one before, last-before-4.ckpt" in capsys.readouterr().err
    remove(path)
    assert list(tmp_path.iterdir()) == []
    saved(path, 1.0, 2.0, keep=1)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_in_it_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state": Payload()}, "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last.ckpt is no checkpoint of tensors and plain values") as refused:
        CheckpointFiles(keep=2).load_checkpoint("last.ckpt", weights_only=False)
    assert "\n" not in str(refused.value)
    assert not Path("ran").exists()


def test_one_of_another_version_is_refused(tmp_path: Path) -> None:
    for state in ({"state": torch.ones(1)}, {"zoom_iqa_format": 0}, torch.ones(1)):
        torch.save(state, tmp_path / "last.ckpt")
        with pytest.raises(CheckpointError, match=r"has format (None|0), this version reads 1"):
            load_checkpoint(tmp_path / "last.ckpt")


def zeroed(path: Path, start: int, count: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[start : start + count] = bytes(len(raw[start : start + count]))
    path.write_bytes(raw)


def test_zeros_in_the_middle_are_found(tmp_path: Path) -> None:
    path = tmp_path / "done.ckpt"
    saved(path, 1.0)
    require_whole(path)
    zeroed(path, path.stat().st_size // 2, 4096)
    torch.load(path, weights_only=True)  # torch does not look
    with pytest.raises(
        CheckpointError, match=r"done.ckpt is damaged \(.*data/0.*\); remove .*done\*\.ckpt, and the same command"
    ):
        require_whole(path)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_damaged_is_found_or_harmless(seed: int, tmp_path: Path) -> None:
    """Cut off, overwritten or zeroed anywhere: never another error, and never another value."""
    draw, path = random.Random(seed), tmp_path / "last.ckpt"
    saved(path, 1.0)
    size = path.stat().st_size
    kind = draw.choice(["cut", "zeros", "noise", "bit"])
    if kind == "cut":
        path.write_bytes(path.read_bytes()[: draw.randrange(size)])
    elif kind == "zeros":
        zeroed(path, draw.randrange(size), draw.randrange(1, size // 3))
    else:
        raw = bytearray(path.read_bytes())
        for _ in range(1 if kind == "bit" else 50):
            raw[draw.randrange(size)] ^= 1 << draw.randrange(8)
        path.write_bytes(raw)
    if damage_of(path) is None:
        found = load_checkpoint(path)
        assert torch.equal(found["state"], torch.ones(50_000))
        assert found["step"] == 1


def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "last.ckpt"
    assert resumable(path) is None
    saved(path, 1.0, 2.0)
    assert resumable(path) == path
    assert capsys.readouterr().err == ""
    zeroed(path, path.stat().st_size // 2, 4096)
    assert resumable(path) == path
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {path} is damaged (")
    assert said.count("\n") == 1
    assert load_checkpoint(path)["step"] == 1
    saved(path, 3.0)
    assert [load_checkpoint(place)["step"] for place in (path, before(path))] == [3, 1]


def test_one_before_that_stands_alone_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    saved(before(path), 1.0)
    assert resumable(path) == path
    assert load_checkpoint(path)["step"] == 1


def test_of_several_before_one_that_is_gone_the_newest_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    saved(path, 1.0, 2.0, 3.0, keep=3)
    path.unlink()
    assert resumable(path) == path
    assert load_checkpoint(path)["step"] == 2


@pytest.mark.parametrize("kept", ["none", "damaged too"])
def test_where_none_is_whole_it_is_one_line(kept: str, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    saved(path, 1.0, 2.0)
    path.write_bytes(b"")
    if kept == "none":
        before(path).unlink()
    else:
        before(path).write_bytes(b"PK\x03\x04")
    with pytest.raises(
        CheckpointError, match=r"last.ckpt is damaged \(.*\), and no whole one from before is there"
    ) as e:
        resumable(path)
    assert "\n" not in str(e.value)


def saved_in_pieces(path: Path, value: float) -> None:
    """As two processes would."""
    names = piece_names(path, token=f"t{value:.0f}", processes=2)
    rows = [Part(torch.full((count, 4), value), (5, 4)) for count in (3, 2)]
    given = [split({"state_dict": {"w": part}, "step": int(value)}) for part in rows]
    for name, (_, parts) in zip(names, given, strict=True):
        save_piece(path.with_name(name), parts)
    CheckpointFiles(keep=2).save_checkpoint({**given[0][0], NAMES: names}, path)


def test_one_in_pieces_is_read_whole_and_goes_with_its_files(tmp_path: Path) -> None:
    path, files = tmp_path / "last.ckpt", CheckpointFiles(keep=2)
    for value in (1.0, 2.0, 3.0):
        saved_in_pieces(path, value)
    assert load_checkpoint(path)["state_dict"]["w"].shape == (5, 4)
    assert torch.equal(files.load_checkpoint(path)["state_dict"]["w"], torch.full((5, 4), 3.0))
    assert torch.equal(files.load_checkpoint(before(path))["state_dict"]["w"], torch.full((5, 4), 2.0))
    (tmp_path / "done.ckpt.t9.1-of-2").write_bytes(b"of a run that was killed before its last file")
    saved(tmp_path / "done.ckpt", 4.0)
    before(path).unlink()
    remove(tmp_path / "other.ckpt")
    kept = sorted(left.name for left in tmp_path.iterdir())
    assert kept == ["done.ckpt", "last.ckpt", "last.ckpt.t3.1-of-2", "last.ckpt.t3.2-of-2"]
    remove(path)
    assert [left.name for left in tmp_path.iterdir()] == ["done.ckpt"]


@pytest.mark.parametrize("fault", ["zeroed", "missing", "of another save"])
def test_a_damaged_piece_gives_way_to_the_checkpoint_before(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "last.ckpt"
    for value in (1.0, 2.0):
        saved_in_pieces(path, value)
    piece = tmp_path / "last.ckpt.t2.2-of-2"
    if fault == "of another save":
        save_piece(piece, {"/elsewhere": torch.ones(2)})
        with pytest.raises(CheckpointError, match="do not belong together"):
            load_checkpoint(path)
        return
    if fault == "zeroed":
        zeroed(piece, piece.stat().st_size // 2, 64)
    else:
        piece.unlink()
        with pytest.raises(CheckpointError, match=r"in pieces, of which .*t2\.2-of-2 is missing"):
            load_checkpoint(path)
    assert resumable(path) == path
    assert "last.ckpt is damaged (last.ckpt.t2.2-of-2: " in capsys.readouterr().err
    assert CheckpointFiles(keep=2).load_checkpoint(path)["step"] == 1
