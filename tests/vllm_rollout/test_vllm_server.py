"""rollout=vllm_server: vLLM behind zoom_iqa.serve gives the native engine's tokens, to trainers that take turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.engine_runs import SAMPLING, native, run
from support.served import rollout_server
from support.small_run import rows
from support.vllm_runs import (
    CACHE_TOKENS,
    ROWS,
    assert_alike,
    assert_same_policy,
    behind,
    changed,
    copy_of,
    mixed_requests,
    start,
)
from zoom_iqa.engines.vllm.engine import VllmEngine
from zoom_iqa.engines.vllm.shared.recipe import VllmServerRecipe
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.vision_cache import VisionCache


@pytest.fixture(scope="module")
def url(shipped: Policy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    with rollout_server(log, f"rollout.cache_tokens={CACHE_TOKENS}", f"rollout.rows={ROWS}") as address:
        yield address


def served(policy: Policy, url: str) -> VllmEngine:
    recipe = VllmServerRecipe(url=url, push_folder=None, lost_after_s=30.0, stalled_after_s=120.0, probe_tolerance=1e-3)
    return recipe(policy=policy, sampling=SAMPLING, features=VisionCache(model=policy.model, capacity=10_000))


def test_trainers_take_turns_and_get_the_tokens_of_the_native_engine(shipped: Policy, url: str) -> None:
    policy = copy_of(shipped)
    first, second, other = served(policy, url), served(policy, url), served(changed(shipped), url)
    wanted = mixed_requests()
    assert_alike(run(first, wanted), run(native(shipped), wanted))
    assert first.probe_gap < 1e-4
    assert_alike(run(second, wanted[:5]), run(native(shipped), wanted[:5]))
    for engine in (first, second):
        engine.release()
    assert_alike(run(other, wanted[:5]), run(native(changed(shipped)), wanted[:5]))
    other.release()
    for layer in policy.model.model.language_model.layers:
        layer.mlp.up_proj.weight.data *= 0.5
    first.refresh()
    cached = first.cached_tokens
    assert_alike(run(first, wanted[:5]), run(native(policy), wanted[:5]))
    assert first.cached_tokens > cached  # the requests share a prompt


IN_TWO = ["trainer=ddp", "trainer.devices=2", "grpo.data.batch_size=2"]


def test_two_processes_share_it_and_come_to_the_policy_of_the_native_engine(
    shipped: Policy, url: str, tmp_path: Path
) -> None:
    for name, engine in (("native", []), ("vllm", behind(url))):
        process = start(tmp_path / name, *IN_TWO, *engine)
        _, said = process.communicate(timeout=500)
        assert process.returncode == 0, said
    assert_same_policy(tmp_path / "vllm", tmp_path / "native", shipped)


def test_a_server_that_is_killed_stops_both_processes_within_a_minute(shipped: Policy, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with rollout_server(tmp_path / "server.log", f"rollout.cache_tokens={CACHE_TOKENS}", f"rollout.rows={ROWS}") as url:
        engine = [*behind(url), "machine.vllm_lost_after_s=5", "grpo.steps=500", "grpo.checkpoint_every=500"]
        process = start(run_dir, *IN_TWO, *engine)
        log = run_dir / "logs" / "grpo" / "metrics.csv"
        until = time.monotonic() + 300
        while not (log.exists() and len(rows(run_dir, "grpo")) >= 2) and time.monotonic() < until:
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.2)
    begin = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begin < 60
    assert process.returncode == 2
    assert f"machine.vllm_url={url}: no answer within 5 s" in said.splitlines()[-1]
    state = torch.load(run_dir / "checkpoints" / "grpo" / "last.ckpt", weights_only=True)
    assert state["rollout_step"] == len(rows(run_dir, "grpo")) >= 2
