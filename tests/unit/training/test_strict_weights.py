"""A checkpoint whose tensors are not the policy's is refused and the tensor named: whole weights and adapters, in every
stage, where a stage goes on and where it takes what a finished one has left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from support.fitting import own_copy
from support.plain_policy import plain_policy
from support.small_run import composed, save_policy
from zoom_iqa.base.errors import CheckpointError
from zoom_iqa.config.stages import make_stage
from zoom_iqa.parallel.placement import Replicated
from zoom_iqa.policy.lora import LoraSettings
from zoom_iqa.policy.policy import Policy
from zoom_iqa.training.checkpoints import CheckpointFiles, require_fitting
from zoom_iqa.training.stage import load_weights

WHOLE = "model.model.language_model.norm.weight"
ADAPTER = "model.model.language_model.layers.0.self_attn.q_proj.lora_A.default.weight"
CHANGES: dict[str, tuple[Callable[[dict[str, Tensor], str], object], str]] = {
    "missing": (lambda state, name: state.pop(name), "1 missing: {name}$"),
    "extra": (lambda state, name: state.update({"model.more": torch.zeros(5)}), "1 left over: model.more$"),
    "renamed": (
        lambda state, name: state.update({f"{name}s": state.pop(name)}),
        "1 renamed: {name} is there as {name}s$",
    ),
    "reshaped": (
        lambda state, name: state.update({name: torch.zeros(3)}),
        r"1 of another shape: {name} is \[3\] where",
    ),
}


@pytest.fixture(scope="module", params=[WHOLE, ADAPTER], ids=["whole", "adapters"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def policy(name: str, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    lora = LoraSettings(rank=2, alpha=2, targets=["q_proj"]) if name == ADAPTER else None
    return plain_policy(save_policy(tmp_path_factory.mktemp("policy")), lora=lora)


def broken(policy: Policy, change: str, name: str) -> tuple[dict[str, Tensor], str]:
    state = {f"model.{key}": value for key, value in policy.model.state_dict().items()}
    assert name in state
    act, said = CHANGES[change]
    act(state, name)
    return state, f"its tensors do not fit the policy; {said.format(name=name)}"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_stage_that_goes_on(stage: str, change: str, policy: Policy, name: str) -> None:
    recipe = make_stage(stage, composed("data.train.size=8")).recipe
    module = recipe(policy=own_copy(policy), placement=Replicated(), steps=1)
    state, said = broken(policy, change, name)
    with pytest.raises(CheckpointError, match=f"the checkpoint to go on from: {said}"):
        module.on_load_checkpoint({"state_dict": state})


@pytest.mark.parametrize("change", CHANGES)
def test_a_stage_that_is_done(change: str, policy: Policy, name: str, tmp_path: Path) -> None:
    state, said = broken(policy, change, name)
    CheckpointFiles(keep=1).save_checkpoint({"state_dict": state}, tmp_path / "done.ckpt")
    before = {key: value.clone() for key, value in policy.model.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf"done\.ckpt: {said}"):
        load_weights(policy, tmp_path / "done.ckpt", Replicated())
    assert all(torch.equal(value, before[key]) for key, value in policy.model.state_dict().items())


STATES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "missing": (lambda state: state.pop("exp_avg"), "1 missing: exp_avg of {name}$"),
    "none": (dict.clear, "1 missing: master of {name}$"),
    "extra": (lambda state: state.update(more=torch.zeros(5)), "1 left over: more of {name}$"),
    "reshaped": (lambda state: state.update(exp_avg=torch.zeros(1)), r"1 of another shape: exp_avg of {name} is \[1\]"),
}


@pytest.mark.parametrize("change", [*STATES, None])
def test_the_states_of_an_optimizer(change: str | None, policy: Policy) -> None:
    recipe = make_stage("sft", composed("data.train.size=8")).recipe
    module = recipe(policy=own_copy(policy), placement=Replicated(), steps=1)
    trained = [(name, value) for name, value in module.named_parameters() if value.requires_grad]
    states = [
        {"step": torch.tensor(3.0), **{key: value.clone() for key in ("master", "exp_avg", "exp_avg_sq")}}
        for _, value in trained
    ]
    states[0] = {"master": states[0]["master"]}  # which no gradient has reached
    checkpoint = {"state_dict": module.state_dict(), "optimizer_states": [{"states": states, "lr": 1.0}]}
    if change is None:
        require_fitting(module, checkpoint)
        return
    act, said = STATES[change]
    act(states[1])
    with pytest.raises(CheckpointError, match=said.format(name=trained[1][0])):
        require_fitting(module, checkpoint)
