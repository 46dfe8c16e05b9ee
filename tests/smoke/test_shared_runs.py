"""Runs that sample from a server: two processes that share it, a server that is killed, and one that hangs."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from support.changed_steps import before_batch, in_process
from support.forked_runs import ended, forked, forked_pair, last_line
from support.plain_policy import plain_policy
from support.shared_models import WrittenServed, forked_server
from support.small_run import assert_same_end
from zoom_iqa.base.records import Record
from zoom_iqa.engines.vllm.shared.model import SharedModel
from zoom_iqa.evaluation.evaluator import Evaluator
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.grpo import GRPOModule

TWO = ("trainer=ddp", "trainer.devices=2")


@pytest.fixture
def server(policy: Path) -> Iterator[tuple[int, str]]:
    with forked_server(lambda: made(policy)) as there:
        yield there


def made(policy: Path) -> tuple[WrittenServed, object]:
    loaded = plain_policy(policy)
    return WrittenServed(loaded), loaded


def asking(url: str, folder: Path) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    return (
        "~rollout._partial_",
        "rollout._target_=zoom_iqa.engines.vllm.shared.recipe.VllmServerRecipe",
        "+rollout={url:${machine.vllm_url},push_folder:${machine.vllm_push_folder},probe_tolerance:1e-3,"
        "lost_after_s:${machine.vllm_lost_after_s},stalled_after_s:${machine.vllm_stalled_after_s}}",
        f"machine.vllm_url='{url}'",
        f"machine.vllm_push_folder={folder}",
        "machine.vllm_lost_after_s=2",
        "machine.vllm_stalled_after_s=5",
    )


def test_two_processes_share_a_server_and_stop_together_when_it_dies(
    policy: Path, server: tuple[int, str], tmp_path: Path
) -> None:
    whole, run, said = tmp_path / "whole", tmp_path / "run", [tmp_path / f"said{rank}" for rank in (0, 1)]
    pushed = tmp_path / "pushed"
    assert [ended(pid) for pid in forked_pair(whole, policy, *asking(server[1], pushed), *TWO, said=said)] == [0, 0]
    with forked_server(lambda: made(policy)) as (server_pid, url):
        kill = before_batch(GRPOModule, 2, in_process(0, lambda: os.kill(server_pid, signal.SIGKILL)))
        begin = time.monotonic()
        pids = forked_pair(run, policy, *asking(url, pushed), *TWO, first=kill, said=said)
        assert [ended(pid) for pid in pids] == [2, 2]
        assert time.monotonic() - begin < 60
    assert all(f"machine.vllm_url={url}: no answer within 2 s" in last_line(path) for path in said)
    assert torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)["rollout_step"] == 2
    assert [ended(pid) for pid in forked_pair(run, policy, *asking(server[1], pushed), *TWO, said=said)] == [0, 0]
    assert_same_end(run, whole)
    assert not list(pushed.iterdir())


def killing_in_validation(server_pid: int) -> Callable[[], None]:
    """The last validation of GRPO loses the server in the first process, when the second has done its share."""

    def change() -> None:
        if os.environ["LOCAL_RANK"] != "0":
            return
        whole, begun = Evaluator._predict, itertools.count(1)

        def changed(self: Evaluator, policy: Policy, indices: Sequence[int]) -> Iterator[list[Record]]:
            fifth = next(begun) == 5  # after two validations of SFT, its evaluation and a validation of GRPO
            for records in whole(self, policy, indices):
                yield records
                if fifth:
                    time.sleep(1)
                    os.kill(server_pid, signal.SIGKILL)

        setattr(Evaluator, "_predict", changed)  # noqa: B010

    return change


def test_a_server_that_dies_in_a_validation_stops_both_and_the_validation_is_made_up_for(
    policy: Path, server: tuple[int, str], tmp_path: Path
) -> None:
    whole, run, said = tmp_path / "whole", tmp_path / "run", [tmp_path / f"said{rank}" for rank in (0, 1)]
    pushed = tmp_path / "pushed"
    validated = ("trainer=fsdp", "trainer.devices=2", "callbacks=validation", "callbacks.validation.every=2")
    validated += ("data.val.size=3", "machine.evaluation_batch_size=1", "grpo.checkpoint_every=3")
    pids = forked_pair(whole, policy, *asking(server[1], pushed), *validated, said=said)
    assert [ended(pid) for pid in pids] == [0, 0]
    with forked_server(lambda: made(policy)) as (server_pid, url):
        begin = time.monotonic()
        kill = killing_in_validation(server_pid)
        pids = forked_pair(run, policy, *asking(url, pushed), *validated, first=kill, said=said)
        assert [ended(pid) for pid in pids] == [2, 2]
        assert time.monotonic() - begin < 60
    assert all(f"machine.vllm_url={url}: no answer within 2 s" in last_line(path) for path in said)
    assert torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)["rollout_step"] == 4
    pids = forked_pair(run, policy, *asking(server[1], pushed), *validated, said=said)
    assert [ended(pid) for pid in pids] == [0, 0]
    assert_same_end(run, whole)


def test_a_server_that_hangs_stops_a_run_saved(policy: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "run", tmp_path / "said"

    def hang(model: SharedModel) -> None:
        served: Any = model._served
        step = served.step

        def changed() -> object:
            if served.pushes == 3:  # of the evaluation of SFT and two steps of GRPO
                time.sleep(3600)
            return step()

        served.step = changed

    with forked_server(lambda: made(policy), before=hang) as (_, url):
        assert ended(forked(run, policy, *asking(url, tmp_path / "pushed"), said=said)) == 2
    assert last_line(said).startswith(f"error: machine.vllm_url={url}: its model has made no step for ")
    assert torch.load(run / "checkpoints/grpo/last.ckpt", weights_only=True)["rollout_step"] == 2
