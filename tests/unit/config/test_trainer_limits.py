"""Limits of trainers are said before there is a policy."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from support.small_run import composed
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config import trainer_limits
from zoom_iqa.config.stages import make_stage

SMALL = ["data.train.size=4", "data.test.size=2"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_limits, "find_spec", lambda name: object())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["policy/lora=r8"], r"trainer=deepspeed_zero3: it trains no adapters .*use trainer=ddp or trainer=fsdp"),
        (
            ["grpo.module.freeze_vision_tower=false"],
            r"grpo\.module\.freeze_vision_tower=false: trainer=deepspeed_zero3",
        ),
    ],
)
def test_what_it_does_not_train_is_named(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_stage("grpo", composed(*SMALL, "trainer=deepspeed_zero3", *overrides))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("trainer", ["deepspeed_zero2", "deepspeed_zero3"])
def test_a_stage_is_made_for_it(trainer: str) -> None:
    assert make_stage("grpo", composed(*SMALL, f"trainer={trainer}", "trainer.devices=1")).name == "grpo"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = composed(*SMALL, "trainer=deepspeed_zero2", "trainer.devices=1")
    monkeypatch.setattr(trainer_limits, "find_spec", lambda name: None if name == "deepspeed" else find_spec(name))
    with pytest.raises(ConfigError, match=r"trainer=deepspeed_zero2 needs DeepSpeed: pip install .*\[deepspeed\]"):
        make_stage("sft", cfg)


@pytest.mark.parametrize("strategy", ["deepspeed_stage_3", "fsdp_cpu_offload", "deepspeed"])
def test_a_strategy_that_would_not_shard_is_refused(strategy: str) -> None:
    cfg = composed(*SMALL, "trainer=ddp", "trainer.devices=1", f"trainer.strategy={strategy}")
    with pytest.raises(
        ConfigError, match=rf"trainer\.strategy={strategy}: .* or trainer=fsdp, trainer=deepspeed_zero2"
    ):
        make_stage("grpo", cfg)


def test_adapters_and_a_tower_that_learns_are_refused() -> None:
    cfg = composed(*SMALL, "policy/lora=r8", "grpo.module.freeze_vision_tower=false")
    said = (
        r"freeze_vision_tower=false: with adapters .*set grpo\.module\.freeze_vision_tower=true, or policy\.lora=null"
    )
    with pytest.raises(ConfigError, match=said):
        make_stage("grpo", cfg)
    for remedy in ("grpo.module.freeze_vision_tower=true", "policy.lora=null"):
        tower = [] if "tower" in remedy else ["grpo.module.freeze_vision_tower=false"]
        assert make_stage("grpo", composed(*SMALL, "policy/lora=r8", *tower, remedy)).name == "grpo"


def test_a_batch_is_counted_with_all_that_it_accumulates(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["reward=full", "grpo.data.batch_size=1"]
    make_stage("grpo", composed(*SMALL, *given, "grpo.data.accumulate=2")).check_batch(processes=1)
    assert "reward.rank compares 2 images a step" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"^grpo\.data\.batch_size=1 with what is accumulated, times 1 for"):
        make_stage("grpo", composed(*SMALL, *given)).check_batch(processes=1)
