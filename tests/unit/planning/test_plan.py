"""A plan is arithmetic: every number here is worked out by hand, published, or measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.random_policy import build_random_policy
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel import deepspeed_zero
from zoom_iqa.planning.duration import decode_bytes, prefill_products, seconds, update_products
from zoom_iqa.planning.hardware import BANDWIDTH_REACHED, GPUS, Gpu
from zoom_iqa.planning.memory import (
    SUMMED_AT_ONCE,
    activation_bytes,
    block_bytes,
    checkpoint_bytes,
    memory,
    optimizer_bytes,
    peak,
)
from zoom_iqa.planning.plan import plan
from zoom_iqa.planning.shapes import SHAPE_3B, SHAPE_7B, PolicyShape, shape_of
from zoom_iqa.planning.text import plan_text
from zoom_iqa.planning.work import Settings, Work

SMALL = PolicyShape(
    width=8, layers=2, heads=4, key_value_heads=2, mlp_width=16, vocabulary=100, tied=False,
    tower_width=4, tower_layers=1, tower_mlp_width=8, patch=2, merge=2,
)  # fmt: skip
WORK = Work(images=2, group=3, prompt=10, image_tokens=6, second_prompt=20, new_tokens=5)
SETTINGS = Settings(
    stage="grpo", shape=SMALL, work=WORK, gpus=2, trained=2608, adapters=False, number_bytes=2, masters=True, cut=False,
    zero=0, deepspeed=False, reference=True, samples=True, accumulate=1, epochs=1, updates=1, tower=False,
    checkpointing=True, micro_batch_tokens=100, token_budget=120,
    logit_chunk=10, keep_checkpoints=2, steps=None,
)  # fmt: skip
H200_STEP = Settings(
    stage="grpo", shape=SHAPE_7B, gpus=1, trained=SHAPE_7B.text_parameters, adapters=False, number_bytes=2,
    masters=False, cut=False, zero=0, deepspeed=False, reference=False, samples=True, accumulate=1, epochs=1, updates=1,
    tower=False, checkpointing=True,
    micro_batch_tokens=16384, token_budget=262144, logit_chunk=1024, keep_checkpoints=2, steps=None,
    work=Work(images=8, group=8, prompt=1650, image_tokens=1036, second_prompt=0, new_tokens=256),
)  # fmt: skip
"""The step that was measured: one turn, AdamW with moments like the weights."""


def test_parameters_are_those_published() -> None:
    assert SHAPE_7B.text_parameters == 7_615_616_512  # of Qwen2.5-7B
    assert SHAPE_7B.parameters == 8_292_166_656  # of Qwen2.5-VL-7B-Instruct
    assert SHAPE_3B.parameters == 3_754_622_976  # of Qwen2.5-VL-3B-Instruct


def test_parameters_are_those_of_a_model() -> None:
    model = build_random_policy().model
    shape = shape_of(model.config.to_dict())
    assert shape.tower_parameters == sum(p.numel() for p in model.model.visual.parameters())
    assert shape.parameters == sum(p.numel() for p in model.parameters())


def test_a_config_without_a_size_is_named() -> None:
    with pytest.raises(ConfigError, match=r"config\.json has no num_hidden_layers"):
        shape_of({"hidden_size": 8})


def test_a_small_shape_by_hand() -> None:
    assert SMALL.key_value_width == 4
    assert SMALL.block_weights == 2 * (2 * 64 + 2 * 32 + 3 * 128) == 1152
    assert SMALL.head_weights == 800
    assert SMALL.text_parameters == 1152 + 2 * (8 + 8 + 16) + 8 + 1600 == 2824
    assert SMALL.key_value_bytes(2) == 2 * 2 * 4 * 2
    assert SMALL.adapter_parameters(rank=3, targets=["q_proj", "down_proj"]) == 2 * 3 * (16 + 24)
    with pytest.raises(ConfigError, match="qproj is no layer of a block"):
        SMALL.adapter_parameters(rank=3, targets=["qproj"])


def test_tokens_by_hand() -> None:
    assert WORK.first_tokens == 2 * 10 + 6 * 5 == 50
    assert WORK.second_tokens == 6 * 25 == 150
    assert SETTINGS.forwarded == 100  # 200 in two runs
    assert replace(SETTINGS, micro_batch_tokens=1).forwarded == 25  # the longest sequence
    assert replace(SETTINGS, samples=False).forwarded == 200
    assert SETTINGS.held_tokens == 120  # the budget
    assert replace(SETTINGS, token_budget=1000).held_tokens == 50 + 2 * 150  # what runs, and what has ended
    assert SETTINGS.prefilled == 6 * 20  # second turns at once
    assert replace(SETTINGS, work=replace(WORK, second_prompt=0)).prefilled == 2 * 10
    assert replace(WORK, second_prompt=0).second_tokens == 0


def test_bytes_by_hand() -> None:
    phases = memory(SETTINGS)
    whole = 2 * SMALL.parameters
    assert optimizer_bytes(SETTINGS) == 12 * 2608 / 2
    assert block_bytes(SETTINGS) == 22 * 8 + 6 * 4 + 8 * 16 == 328
    head = 3 * 4 * 10 * 100 + 4 * 800  # rows of logits, and the head's gradient
    assert head == 15_200
    assert activation_bytes(SETTINGS) == 2 * 8 * 2 * 100 + 328 * 100  # a block is more than the head
    assert activation_bytes(replace(SETTINGS, checkpointing=False)) == 328 * 2 * 100 + head
    assert phases["rollout"] == {
        "weights": whole,
        "optimizer": 15_648,
        "reference": whole,
        "weights of the engine": 2 * 2 * (64 + 2 * 32 + 2 * 128),  # q, k and v, gate and up of two blocks
        "keys and values": 120 * 32,
        "activations": max(328 * 120, 3 * 4 * 6 * 100),
    }
    assert phases["update"]["gradients"] == 2 * 2608
    assert phases["step"]["float32 gradients and roots"] == 8 * 2608 / 2
    assert "activations" not in phases["step"]
    assert peak({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 4.0}}) == ("b", 4.0)


def test_adapters_keep_the_base_and_no_gradient_of_the_head() -> None:
    settings = replace(SETTINGS, trained=240, adapters=True, reference=False)
    assert memory(settings)["update"]["weights"] == 2 * (SMALL.parameters + 240)
    assert memory(settings)["rollout"]["weights of the engine"] == 2 * 1152  # adapters stand beside all matrices
    assert update_products(settings) == 3 / 4 * update_products(SETTINGS)
    assert activation_bytes(replace(settings, checkpointing=False)) == 328 * 2 * 100 + 3 * 4 * 10 * 100


def test_weights_that_are_cut_up_by_hand() -> None:
    phases = memory(replace(SETTINGS, cut=True))
    part = 2 * (SMALL.tower_parameters + 2824 / 2)  # the tower stays whole
    assert phases["update"] == {
        "weights": part,
        "optimizer": 15_648,
        "reference": part,
        "gradients": 2 * 2608 / 2,
        "weights at work": 2 * (2 * 576 + 1600 + 576 + 1600),  # two blocks, both ends; gradients of one and of those
        "activations": activation_bytes(SETTINGS),
    }
    assert phases["rollout"]["whole weights"] == 2 * 2824
    assert phases["step"]["gradients"] == 2608
    adapted = memory(replace(SETTINGS, cut=True, trained=240, adapters=True, reference=False))["update"]
    assert adapted["weights"] == part + 480
    assert adapted["gradients"] == 480  # adapters stay whole
    assert adapted["weights at work"] == 2 * (2 * 576 + 1600)
    with_tower = replace(SETTINGS, cut=True, trained=2824 + 10, masters=False)
    assert memory(with_tower)["update"]["gradients"] == 2 * (2824 / 2 + 10)
    assert optimizer_bytes(with_tower) == 2 * 2 * (2824 / 2 + 10)


def test_gradients_that_are_cut_up_by_hand() -> None:
    assert SUMMED_AT_ONCE == deepspeed_zero.SUMMED_AT_ONCE
    phases = memory(replace(SETTINGS, zero=2))
    whole = 2 * SMALL.parameters
    assert phases["update"] == {
        "weights": whole,
        "optimizer": 15_648,
        "reference": whole,
        "gradients": 2 * 2608 / 2,
        "gradients at work": 2 * (800 + 50_000_000),  # the largest weight's, and those that wait for their sum
        "activations": activation_bytes(SETTINGS),
    }
    assert "whole weights" not in phases["rollout"]
    assert memory(replace(SETTINGS, zero=3, cut=True)) == memory(replace(SETTINGS, cut=True))


def test_changes_of_a_plan_with_deepspeed_are_those_it_takes() -> None:
    settings = replace(H200_STEP, masters=True, reference=True, gpus=16, zero=2, deepspeed=True)
    said = [change for change, _ in plan(settings, GPUS["l40s"]).changes]
    assert said[:2] == ["policy/lora=r64 trainer=fsdp", "trainer=deepspeed_zero3"]
    alone = replace(settings, gpus=1, zero=0)
    assert next(change for change, _ in plan(alone, GPUS["l40s"]).changes) == "policy/lora=r64 trainer=fsdp"


def test_weights_are_cut_up_before_there_are_more_gpus() -> None:
    without = replace(H200_STEP, masters=False, reference=True, gpus=8)
    assert [change for change, _ in plan(without, GPUS["h100"]).changes][:2] == ["policy/lora=r64", "trainer=fsdp"]


def test_work_of_the_products_and_of_the_memory_by_hand() -> None:
    forward = 2 * (1152 * 200 + 800 * 60)
    assert update_products(SETTINGS) == 4 * forward
    assert update_products(replace(SETTINGS, checkpointing=False)) == 3 * forward
    assert update_products(replace(SETTINGS, epochs=3)) == 12 * forward
    steps = [seconds(replace(SETTINGS, updates=updates), GPUS["h200"])["optimizer"] for updates in (1, 6)]
    assert steps[1] == pytest.approx(6 * steps[0])
    weights = 2 * (1152 + 800)
    first, second = 2 * 10 + 6 * 2.5, 6 * 22.5
    assert decode_bytes(SETTINGS) == 5 * (weights + first * 32) + 5 * (2 * weights + second * 32)  # two waves
    patches = (2 + 6) * 6 * 4  # of the images and, where there are second turns, of a crop for each answer
    assert prefill_products(SETTINGS) == 2 * (1152 * (2 * 10 + 6 * 20) + SMALL.tower_parameters * patches)
    one_turn = replace(SETTINGS, work=replace(WORK, second_prompt=0))
    assert prefill_products(one_turn) == 2 * (1152 * 2 * 10 + SMALL.tower_parameters * 2 * 6 * 4)


def test_seconds_that_hang_on_passes_and_on_gpus_by_hand() -> None:
    gpu = Gpu(memory=1e9, bandwidth=1e6 / BANDWIDTH_REACHED, products=1e12)
    assert seconds(replace(SETTINGS, accumulate=3), gpu)["prepare"] == pytest.approx(3 * 2 * 0.045)  # 3 passes' images
    shared = seconds(SETTINGS, gpu)["optimizer"]  # of two GPUs each steps its half of the masters
    assert shared == pytest.approx(36 * 2608 / 2 / 1e6)
    assert seconds(replace(SETTINGS, masters=False), gpu)["optimizer"] == pytest.approx(2 * shared)


def test_the_measured_step_comes_out() -> None:
    """On an H200: decode 2.44, prefill and vision 0.99, prepare 0.36, forward and backward 3.06, 6.9 in all."""
    found = seconds(H200_STEP, GPUS["h200"])
    assert found["decode"] == pytest.approx(2.44, rel=0.03)
    assert found["prefill, vision"] == pytest.approx(0.99, rel=0.03)
    assert found["prepare"] == pytest.approx(0.36)
    assert found["forward, backward"] == pytest.approx(3.06, rel=0.03)
    assert sum(found.values()) == pytest.approx(6.9, rel=0.03)
    assert decode_bytes(H200_STEP) / 256 / 4.259e12 == pytest.approx(3.6e-3, rel=0.02)  # 3.3 ms weights, 0.3 cache


def test_the_measured_growth_of_memory_comes_out() -> None:
    """50 GB from before the optimizer: all but the weights."""
    _, most = peak(memory(H200_STEP))
    assert most - 2 * SHAPE_7B.parameters == pytest.approx(51.5e9, rel=0.05)


def test_checkpoints_by_hand() -> None:
    """2 bytes of each parameter, 12 of each trained with masters and 4 (two moments of 2) without."""
    whole = replace(H200_STEP, masters=True)
    assert checkpoint_bytes(whole) == 2 * 8_292_166_656 + 12 * 7_615_616_512  # 108 GB, as was measured
    assert checkpoint_bytes(H200_STEP) == 2 * 8_292_166_656 + 4 * 7_615_616_512
    adapted = replace(whole, trained=1000, adapters=True)
    assert checkpoint_bytes(adapted) == 2 * (8_292_166_656 + 1000) + 12 * 1000
    text = plan_text(plan(whole, GPUS["h200"]), gpu_name="h200", gpu=GPUS["h200"])
    assert "on disk 323.9 GB while a checkpoint is written: 3 of 108.0 GB" in text


def test_changes_are_the_least_that_fit() -> None:
    full = replace(H200_STEP, masters=True, reference=True, gpus=1)
    alone = plan(full, GPUS["h100"])
    assert not alone.fits
    assert [change for change, _ in alone.changes] == ["policy/lora=r64", "gpus=8"]
    assert all(most <= GPUS["h100"].usable for _, most in alone.changes)
    assert plan(replace(full, gpus=8), GPUS["h100"]).changes == ()
    without = replace(full, gpus=8, checkpointing=False)
    assert plan(without, GPUS["h100"]).changes[0][0] == "machine.gradient_checkpointing=true"
    nothing = plan(full, Gpu(memory=1e9, bandwidth=1e12, products=1e12))
    assert (nothing.fits, nothing.changes) == (False, ())
    assert "to change: a smaller policy" in plan_text(nothing, gpu_name="tiny", gpu=GPUS["l40s"])


def test_a_budget_of_tokens_that_is_not_held_is_no_change() -> None:
    """One image and two short answers: the engine holds 2,162 tokens at most, whatever more its budget allows."""
    work = Work(images=1, group=2, prompt=1650, image_tokens=1036, second_prompt=0, new_tokens=256)
    settings = replace(H200_STEP, masters=True, checkpointing=False, work=work)
    changes = plan(settings, replace(GPUS["h100"], memory=37e9)).changes
    lean = "machine.gradient_checkpointing=true machine.micro_batch_tokens=1906"
    assert [change for change, _ in changes] == [f"policy/lora=r64 {lean}"]


def test_the_text_adds_up() -> None:
    made = plan(replace(H200_STEP, gpus=8, masters=True, reference=True, steps=100), GPUS["h100"])
    text = plan_text(made, gpu_name="h100", gpu=GPUS["h100"])
    assert text.startswith("grpo on 8 x h100, trainer=ddp: fits; ")
    assert " of 73.6 GB" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["weights", "16.6", "16.6", "16.6"] in rows
    assert ["gradients", "-", "15.2", "15.2"] in rows
    assert "7,615.6 of 8,292.2 million parameters trained" in text
    assert f"100 steps: {sum(made.seconds.values()) / 36:.1f} h" in text
