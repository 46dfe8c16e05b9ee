"""``zoom-iqa plan`` reads the training config: its budgets, batch sizes, adapters and reference."""

from __future__ import annotations

import pytest

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.planned import config_of, settings_of
from zoom_iqa.plan import planned
from zoom_iqa.planning.shapes import SHAPE_7B


def test_the_settings_are_those_of_the_config() -> None:
    (grpo,) = settings_of(config_of(["experiment=grpo_full"]), gpus=8, new_tokens=None)
    assert (grpo.work.images, grpo.work.group, grpo.work.new_tokens) == (2, 8, 1024)
    assert grpo.work.image_tokens == 1280  # 1,003,520 pixels over 28 x 28
    assert (grpo.trained, grpo.number_bytes, grpo.masters) == (SHAPE_7B.text_parameters, 2, True)
    assert (grpo.reference, grpo.checkpointing, grpo.micro_batch_tokens) == (True, True, 16384)
    assert grpo.steps == 125  # 2,000 images, 2 on each of 8


def test_a_stage_may_be_as_long_as_a_part_of_its_data() -> None:
    (grpo,) = settings_of(config_of(["experiment=grpo_full", "grpo.epochs=0.5"]), gpus=8, new_tokens=None)
    assert grpo.steps is None  # the data decide


def test_a_rollout_has_all_images_of_its_step_and_the_last_step_is_whole() -> None:
    (grpo,) = settings_of(config_of(["experiment=grpo_full", "grpo.data.accumulate=3"]), gpus=4, new_tokens=None)
    assert (grpo.work.images, grpo.accumulate) == (6, 1)
    assert grpo.steps == 84  # 2,000 images, 24 a step: 83.3


@pytest.mark.parametrize(
    ("gpus", "overrides", "trainer"),
    [
        (1, ["trainer=fsdp"], "single_device"),
        (8, [], "ddp"),  # which is not the config's own
        (8, ["trainer=fsdp"], "fsdp"),
        (8, ["trainer=deepspeed_zero2"], "deepspeed_zero2"),
        (8, ["trainer=deepspeed_zero3"], "deepspeed_zero3"),
    ],
)
def test_the_trainer_that_is_planned_is_named(gpus: int, overrides: list[str], trainer: str) -> None:
    (grpo,) = settings_of(config_of(["experiment=grpo_full", *overrides]), gpus=gpus, new_tokens=None)
    assert grpo.trainer == trainer


@pytest.mark.parametrize(
    ("overrides", "reference"),
    [
        (["penalties=none"], False),
        (["penalties.kl_coverage.anchor=old", "grpo.module.update.mini_batches=2"], False),
        (["penalties=kl_reference"], True),
    ],
)
def test_a_reference_is_counted_where_something_reads_it(overrides: list[str], reference: bool) -> None:
    (grpo,) = settings_of(config_of(["experiment=grpo_full", *overrides]), gpus=1, new_tokens=None)
    assert grpo.reference is reference


def test_every_pass_over_a_rollout_is_counted_and_a_tower_that_learns_is_named() -> None:
    given = ["experiment=grpo_full", "grpo.module.update.epochs=4", "grpo.module.update.mini_batches=2"]
    (grpo,) = settings_of(config_of(given), gpus=8, new_tokens=None)
    assert (grpo.epochs, grpo.updates, grpo.tower) == (4, 8, False)
    assert "no upper limit" not in planned([*given, "gpus=8", "gpu=h100"])
    learns = "grpo.module.freeze_vision_tower=false"
    assert "no upper limit: of the tower, which learns" in planned([*given, learns, "gpus=8", "gpu=h100"])


def test_adapters_and_batches_that_are_added_up() -> None:
    cfg = config_of(["experiment=sft_full", "policy/lora=r64", "sft.steps=7"])
    (sft,) = settings_of(cfg, gpus=2, new_tokens=100)
    # rank 64 over 28 blocks: q and o 2 x 7,168, k and v 2 x 4,096, gate, up and down 3 x 22,528
    assert sft.trained == 64 * 28 * (2 * 7168 + 2 * 4096 + 3 * 22528)
    assert (sft.adapters, sft.reference, sft.samples, sft.accumulate, sft.steps) == (True, False, False, 8, 7)
    assert sft.work.new_tokens == 100


def test_the_remedy_for_other_tasks_plans_them() -> None:
    (grpo,) = settings_of(config_of(["experiment=deepsight_full", "task=zoom"]), gpus=8, new_tokens=None)
    assert grpo.work.image_tokens == 512


def test_adapters_are_proposed_with_what_they_need_beside_a_tower_that_learns() -> None:
    given = ["experiment=human_full", "task=zoom", "gpus=1"]
    text = planned([*given, "gpu=h100"])
    remedy = "policy/lora=r64 grpo.module.freeze_vision_tower=true"
    assert remedy in text
    (grpo,) = settings_of(config_of(["experiment=human_full", "task=zoom", *remedy.split()]), gpus=1, new_tokens=None)
    assert (grpo.adapters, grpo.tower) == (True, False)


@pytest.mark.parametrize(("trainer", "cut", "zero"), [("deepspeed_zero2", False, 2), ("deepspeed_zero3", True, 3)])
def test_deepspeed_keeps_masters_and_shares_them_out(trainer: str, cut: bool, zero: int) -> None:
    cfg = config_of(["experiment=grpo_full", f"trainer={trainer}", "size.optimizer=torch.optim.AdamW"])
    (grpo,) = settings_of(cfg, gpus=8, new_tokens=None)
    assert (grpo.cut, grpo.zero, grpo.gradients_cut, grpo.masters) == (cut, zero, True, True)
    (alone,) = settings_of(cfg, gpus=1, new_tokens=None)
    assert (alone.cut, alone.zero, alone.masters) == (False, 0, False)


def test_a_folder_says_its_shape() -> None:
    text = planned(["policy=tiny", "gpu=l40s"])
    assert "sft on 1 x l40s, trainer=single_device: fits" in text
    assert "grpo on 1 x l40s, trainer=single_device: fits" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpu=h10"], r"gpu=h10: there is no such GPU; did you mean h100\? Valid: a100, h100, h200, l40s"),
        (["experiment=grpo_full", "gpus"], r"gpus: "),
        (["gpus=0"], r"gpus=0 must be a whole number of at least 1"),
        (["new_tokens=x"], r"new_tokens=x must be a whole number of at least 1"),
        (["experiment=deepsight_full"], r"task: a plan counts the tokens of two turns; task=zoom plans the same"),
        (["experiment=grpo_full", "rollout=vllm"], r"rollout: a plan counts the native engine.*rollout=native plans"),
        (["policy.path=/nowhere"], r"policy\.path=/nowhere: its shape is not known"),
        (
            ["experiment=grpo_full", "trainer=deepspeed_zero2", "policy/lora=r64"],
            r"trainer=deepspeed_zero2: it trains no adapters \(policy/lora\); use trainer=ddp or trainer=fsdp",
        ),
        (
            ["experiment=human_full", "task=zoom", "trainer=deepspeed_zero3"],
            r"freeze_vision_tower=false: trainer=deepspeed_zero3 trains no vision tower.*use trainer=ddp or",
        ),
        (["experiment=grpo_full", "grpo.data.batch_size=0"], r"grpo\.data\.batch_size=0 must be a whole number of at"),
        (["experiment=grpo_full", "grpo.module.group_size=-1"], r"grpo\.module\.group_size=-1 must be a whole number"),
        (["experiment=grpo_full", "grpo.keep_checkpoints=many"], r"grpo\.keep_checkpoints=many must be a whole number"),
        (["experiment=grpo_full", "policy.max_pixels=big"], r"policy\.max_pixels=big must be a whole number of at"),
        (["experiment=grpo_full", "grpo.steps=-5"], r"grpo\.steps=-5 must be a whole number of at least 1"),
        (["experiment=grpo_full", "grpo.epochs=0"], r"grpo\.epochs=0 must be a number above 0"),
        (["experiment=grpo_full", "max_new_tokens=0"], r"max_new_tokens=0 must be a whole number of at least 1"),
        (["experiment=grpo_full", "machine.token_budget=10"], r"token_budget=10 holds no sequence of grpo.*up to 5217"),
        (["experiment=grpo_full", "new_tokens=2000"], r"new_tokens=2000 is above the limit.*max_new_tokens=1024"),
        (["gpus=8", "gpus=4"], r"gpus and gpu and new_tokens: one of them is given twice; give it once"),
        (["grpo.modul.group_size=4"], r"grpo\.modul: there is no such key; did you mean module"),
    ],
)
def test_mistakes_are_named(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(arguments)
