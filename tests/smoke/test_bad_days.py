"""Full disks, damaged files, dead workers and a folder in use: a line each, and what was saved is gone on with."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import pty
import re
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from support.changed_steps import before_batch
from support.forked_runs import ended, forked, forked_pair, last_line
from support.small_run import assert_same_end, rows
from support.terminal import HIDDEN, SHOWN, counts_in, sent_to
from support.written_engine import WrittenEngine
from zoom_iqa.evaluation import evaluator
from zoom_iqa.training.grpo import GRPOModule
from zoom_iqa.training.sft import SFTModule


@pytest.fixture(scope="module")
def finished(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert ended(forked(run, policy)) == 0
    return run


@pytest.mark.parametrize(("limit", "file"), [(200_000, "last.ckpt"), (2_000, "config.yaml")])
def test_a_full_disk_is_one_line_and_the_run_goes_on(
    limit: int, file: str, policy: Path, finished: Path, tmp_path: Path
) -> None:
    """A limit to the size of files stands for it: writing fails at the same places, with another number."""
    run, said = tmp_path / "run", tmp_path / "said"

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    assert ended(forked(run, policy, first=full, said=said)) == 2
    line = last_line(said)
    assert line.startswith(f"error: {run}/")
    assert line.endswith(f"{file}: File too large; let files be larger (ulimit -f), then go on: AGAIN")
    assert not list(run.rglob("*.part"))
    assert ended(forked(run, policy)) == 0
    assert_same_end(run, finished)


def test_a_folder_in_use_is_refused_and_its_run_undisturbed(policy: Path, finished: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    held, go_on = os.pipe()
    pid = forked(run, policy, first=before_batch(SFTModule, 1, lambda: os.read(held, 1)))
    until = time.monotonic() + 60
    while not (run / "logs" / "sft" / "metrics.csv").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert ended(forked(run, policy, said=said)) == 2
    line = last_line(said)
    assert line.startswith(f"error: {run} is in use by process {pid} on ")
    assert len(said.read_text().splitlines()) == 1
    os.write(go_on, b"x")
    assert ended(pid) == 0
    assert_same_end(run, finished)


def kill_workers() -> None:
    assert signal.getsignal(signal.SIGCHLD) != signal.SIG_DFL, "a worker cut off within a message leaves us waiting"
    workers = [worker for worker in multiprocessing.active_children() if worker._parent_pid == os.getpid()]  # type: ignore[attr-defined]
    assert workers
    for worker in workers:
        worker.kill()


def in_evaluation() -> None:
    make = evaluator.record_of

    def changed(*arguments: Any, **named: Any) -> Any:
        kill_workers()
        return make(*arguments, **named)

    setattr(evaluator, "record_of", changed)  # noqa: B010


@pytest.mark.parametrize(
    "first",
    [before_batch(SFTModule, 0, kill_workers), before_batch(GRPOModule, 0, kill_workers), in_evaluation],
    ids=["sft", "grpo", "evaluation"],
)
def test_a_loader_worker_that_dies_is_one_line(
    first: Callable[[], object], policy: Path, finished: Path, tmp_path: Path
) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    settings = ("machine.workers=1", "machine.evaluation_batch_size=1")
    assert ended(forked(run, policy, *settings, first=first, said=said)) == 2
    assert last_line(said).startswith("error: a process that loads images (pid ")
    assert ended(forked(run, policy, *settings)) == 0
    assert_same_end(run, finished)


def zeroed(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    half = len(raw) // 2
    raw[half : half + 4096] = bytes(4096)
    path.write_bytes(raw)


def stopped_in_grpo(run: Path, policy: Path) -> None:
    def stop() -> None:
        os._exit(9)

    assert ended(forked(run, policy, "grpo.checkpoint_every=1", first=before_batch(GRPOModule, 3, stop))) == 9
    assert sorted(path.name for path in (run / "checkpoints" / "grpo").iterdir()) == ["last-before.ckpt", "last.ckpt"]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(policy: Path, finished: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    stopped_in_grpo(run, policy)
    last = run / "checkpoints" / "grpo" / "last.ckpt"
    zeroed(last)
    assert ended(forked(run, policy, "grpo.checkpoint_every=1", said=said)) == 0
    (warned,) = [line for line in said.read_text().splitlines() if line.startswith(f"warning: {last}")]
    assert warned.startswith(f"warning: {last} is damaged (")
    assert_same_end(run, finished)
    assert [path.name for path in last.parent.iterdir()] == ["done.ckpt"]


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_damaged_checkpoint_without_another_is_one_line_with_a_remedy(
    stage: str, policy: Path, finished: Path, tmp_path: Path
) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    stopped_in_grpo(run, policy)
    place = run / "checkpoints" / stage
    for path in place.iterdir():
        zeroed(path)
    assert ended(forked(run, policy, "grpo.checkpoint_every=1", said=said)) == 2
    line = last_line(said)
    assert line.startswith(f"error: {place}/{'done' if stage == 'sft' else 'last'}.ckpt is damaged (")
    name = "done" if stage == "sft" else "last"
    assert line.endswith(f"remove {place}/{name}*.ckpt, and the same command trains this stage anew")
    for path in place.glob(f"{name}*.ckpt"):  # as the line says
        path.unlink()
    assert ended(forked(run, policy, "grpo.checkpoint_every=1", said=said)) == 0


def images_of_files(folder: Path) -> list[str]:
    """The overrides of runs on pictures of their own files."""
    folder.mkdir()
    rows = ["image,score,split"]
    for number in range(16):
        Image.new("RGB", (32, 24), (15 * number,) * 3).save(folder / f"{number:02}.png")
        rows.append(f"{number:02}.png,{1 + number / 4},{'test' if number < 4 else 'train'}")
    (folder / "mine.csv").write_text("\n".join(rows))
    return ["data=manifest", f"manifest={folder}/mine.csv", "data.train.size=null", "data.test.size=null"]


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_break_in_the_middle_are_counted_and_others_take_their_places(
    workers: int, policy: Path, tmp_path: Path
) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    settings = [*images_of_files(tmp_path / "images"), f"machine.workers={workers}"]

    def act() -> None:
        (tmp_path / "images" / "04.png").unlink()
        for number in (5, 6):
            path = tmp_path / "images" / f"{number:02}.png"
            path.write_bytes(path.read_bytes()[:40])

    assert ended(forked(run, policy, *settings, "grpo.steps=9", first=before_batch(GRPOModule, 0, act), said=said)) == 0
    lost = [json.loads(line) for line in (run / "logs/grpo/lost_images.jsonl").read_text().splitlines()]
    assert {entry["name"] for entry in lost} == {"mine:04.png", "mine:05.png", "mine:06.png"}
    assert "there is no such file" in next(entry["reason"] for entry in lost if "04" in entry["name"])
    logged = [row["data/lost_images"] for row in rows(run, "grpo")]
    assert logged[-1] == "3.0"
    assert sorted(logged) == logged
    assert len(logged) == 9
    assert sum("an image is lost" in line for line in said.read_text().splitlines()) == 3


def test_too_many_broken_images_stop_the_run_saved_and_it_goes_on_when_they_are_back(
    policy: Path, tmp_path: Path
) -> None:
    run, whole, said = tmp_path / "run", tmp_path / "whole", tmp_path / "said"
    settings = [*images_of_files(tmp_path / "images"), "grpo.data.max_lost_images=2"]
    assert ended(forked(whole, policy, *settings)) == 0
    images, away = tmp_path / "images", tmp_path / "away"

    def act() -> None:
        images.rename(away)

    assert ended(forked(run, policy, *settings, first=before_batch(GRPOModule, 2, act), said=said)) == 2
    line = last_line(said)
    said_first = (
        r"error: [345] images of the training set can be read no more \(grpo\.data\.max_lost_images=2\), all in "
    )
    assert re.match(said_first, line)  # of the batch's two samples each may have met three
    assert line.endswith("lost_images.jsonl; everything before step 3 is saved: put them back; to go on: AGAIN")
    state = torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)
    assert state["rollout_step"] == 3
    away.rename(images)
    assert ended(forked(run, policy, *settings)) == 0
    assert_same_end(run, whole)


def hang(times: float) -> Callable[[], None]:
    """A change to the engine that lets so many of its steps wait for ever."""
    step, left = WrittenEngine.step, [times]

    def changed(self: WrittenEngine) -> Any:
        if self.busy and left[0] > 0:
            left[0] -= 1
            time.sleep(3600)
        return step(self)

    return lambda: setattr(WrittenEngine, "step", changed)


IMPATIENT = ("machine.engine_timeout_s=0.3", "machine.engine_attempts=2", "machine.engine_wait_s=0.1")


def test_an_engine_that_answers_late_is_asked_again(policy: Path, finished: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    assert ended(forked(run, policy, *IMPATIENT, first=before_batch(GRPOModule, 3, hang(1)), said=said)) == 0
    assert "warning: the engine has finished none of 6 requests within 0.3 s; a new one is asked" in said.read_text()
    assert_same_end(run, finished)


def test_an_engine_that_never_answers_stops_the_run_saved(policy: Path, finished: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    assert ended(forked(run, policy, *IMPATIENT, first=before_batch(GRPOModule, 3, hang(math.inf)), said=said)) == 2
    assert last_line(said).startswith("error: the engine has finished none of 6 requests within 0.3 s, asked 2 times; ")
    assert torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)["rollout_step"] == 3
    assert ended(forked(run, policy)) == 0
    assert_same_end(run, finished)


def test_answers_that_end_in_one_process_stop_both_saved(policy: Path, tmp_path: Path) -> None:
    run, whole, said = tmp_path / "run", tmp_path / "whole", [tmp_path / f"said{rank}" for rank in (0, 1)]
    settings = (*IMPATIENT, "trainer=ddp", "trainer.devices=2")
    assert [ended(pid) for pid in forked_pair(whole, policy, *settings, said=said)] == [0, 0]

    def first() -> None:
        if os.environ["LOCAL_RANK"] == "1":
            before_batch(GRPOModule, 3, hang(math.inf))()

    begin = time.monotonic()
    assert [ended(pid) for pid in forked_pair(run, policy, *settings, first=first, said=said)] == [2, 2]
    assert time.monotonic() - begin < 60
    lines = [last_line(path) for path in said]
    assert lines[0].startswith("error: another process of this run: the engine has finished none of 6 requests")
    assert lines[1].startswith("error: the engine has finished none of 6 requests within 0.3 s, asked 2 times; ")
    assert torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)["rollout_step"] == 3
    assert [ended(pid) for pid in forked_pair(run, policy, *settings, said=said)] == [0, 0]
    assert_same_end(run, whole)


def test_a_terminal_shows_a_bar_in_every_stage(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    pid = forked(tmp_path / "run", policy, said=Path(os.ttyname(theirs)))
    os.close(theirs)
    text = sent_to(ours)
    assert ended(pid) == 0
    for title in ("SFT", "evaluate sft", "GRPO", "evaluate grpo"):
        bar = next(shown for shown in reversed(text.split(HIDDEN)) if title in shown and "━" in shown)
        assert "4/4" in counts_in(bar)
        assert SHOWN in bar


def test_the_start_says_place_policy_lengths_and_how_to_stop(finished: Path, policy: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said"
    assert ended(forked(run, policy, said=said)) == 0
    rows = dict(line.split("  ", 1) for line in said.read_text().splitlines() if "  " in line)
    found = {name.strip(): text.strip() for name, text in rows.items()}
    assert found["run folder"] == str(run)
    assert found["policy"].startswith(f"{policy}: 0.")
    assert found["policy"].endswith(" M parameters in float32 on cpu")
    assert found["sft"] == "4 steps of 2 images: 8 images, 0.67 epochs of 12"
    assert found["grpo"] == "4 steps of 2 images: 8 images, 0.67 epochs of 12"
    assert found["evaluation"] == "4 images after each stage"
    assert found["to stop"].startswith("Control-C or SIGTERM")
    assert found["to go on"].endswith(f"paths.run_dir={run}")
