"""What a stage holds beside the policy is gone when it is no longer needed, though Lightning keeps its modules."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from support.small_run import save_policy, small_run
from zoom_iqa.engines.native.engine import NativeEngine
from zoom_iqa.learning.master_adamw import MasterAdamW
from zoom_iqa.learning.update import PolicyUpdate
from zoom_iqa.training import stage
from zoom_iqa.training.grpo import GRPOModule

SETTINGS = [
    "size.optimizer=zoom_iqa.learning.master_adamw.MasterAdamW",
    "rollout=native",
    "rollout._target_=zoom_iqa.engines.native.engine.NativeEngineRecipe",
    "max_new_tokens=8",
    "sft.steps=1",
    "sft.checkpoint_every=1",
    "grpo.steps=1",
    "grpo.checkpoint_every=1",
]


def engines() -> list[NativeEngine]:
    return [one for one in gc.get_objects() if type(one) is NativeEngine]


def test_masters_engines_and_reference_end_with_their_stage_and_copied_weights_with_the_rollout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = engines()  # of other tests in this process
    released: list[object] = []
    holding: list[int] = []
    release, update = stage._release_memory, PolicyUpdate.run

    def releasing(*parts: object) -> None:
        release(*parts)
        released.extend(parts)

    def updating(self: Any, *arguments: Any, **named: Any) -> Any:
        made = [engine for engine in engines() if id(engine) not in others]
        holding.append(sum(hasattr(engine, "_weights") for engine in made))
        return update(self, *arguments, **named)

    monkeypatch.setattr(stage, "_release_memory", releasing)
    monkeypatch.setattr(PolicyUpdate, "run", updating)
    others = {id(engine) for engine in kept}
    small_run(tmp_path / "run", save_policy(tmp_path), *SETTINGS)
    assert holding == [0]
    optimizers = [part for part in released if isinstance(part, MasterAdamW)]
    assert [len(optimizer._masters) for optimizer in optimizers] == [0, 0]
    (module,) = [part for part in released if isinstance(part, GRPOModule)]
    assert (module._engines, module._reference, module._reference_policy) == ({}, None, None)
    assert module._vision.version > 0
    assert not module._vision._kept
