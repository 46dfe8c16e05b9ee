"""A model that DeepSpeed's ZeRO cuts up over two processes learns, is lent, saved and loaded as one process does it."""

from __future__ import annotations

import copy
import gc
import math
import weakref
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from support.cut_toy import Owner, Toy, learned, trained
from support.two_processes import in_two
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.learning.master_adamw import MasterAdamW
from zoom_iqa.parallel.deepspeed_zero import DeepSpeedZero
from zoom_iqa.parallel.pieces import pieced, put_together, split
from zoom_iqa.parallel.placement import Placement, Replicated, passes_more
from zoom_iqa.parallel.zero_states import is_cut

NEEDS_DEEPSPEED = pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")

ADAMW = partial(torch.optim.AdamW, lr=0.01)
MASTERS = partial(MasterAdamW, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
ROWS = ([0, 1], [2])  # of each process


def zero(stage: int) -> DeepSpeedZero:
    return DeepSpeedZero(stage=stage, kept_whole=lambda model: model.tower.parameters())


def toy(dtype: torch.dtype = torch.float32) -> Toy:
    model = Toy().to(dtype)
    model.tower.requires_grad_(False)
    return model


def step(placement: Placement, model: Any, optimizer: Any, number: int) -> float | None:
    own = ROWS[number]
    return learned(placement, model, optimizer, own, more=passes_more(model, len(own)))


def shared(tree: Any) -> Any:
    """Something of which each process has parts, as both load it."""
    main, own = split(tree)
    files: list[Any] = [None, None]
    dist.all_gather_object(files, copy.deepcopy(own))
    return copy.deepcopy(pieced(main, files))


def started(placement: Placement, state: Any, moments: Any, make: Any, dtype: torch.dtype) -> tuple[Toy, Any]:
    """A model that goes on from these weights and states."""
    model = toy(dtype)
    placement.place(model)
    placement.load_state_dict(model, state)
    optimizer = placement.learns(model, make(trained(model)))
    placement.load_optimizer_state(optimizer, moments)
    return model, optimizer


def of_process(number: int, folder: Path, *, stage: int) -> dict[str, Any]:
    placement, model = zero(stage), toy()
    if number == 1:
        model.load_state_dict({name: value * 0 for name, value in model.state_dict().items()})  # the first's counts
    placement.place(model)
    optimizer = placement.learns(model, ADAMW(trained(model)))
    owner = Owner(model)
    found: dict[str, Any] = {"cut": [name for name, parameter in model.named_parameters() if is_cut(parameter)]}
    found["more"] = passes_more(model, len(ROWS[number]))
    found["norms"] = [step(placement, model, optimizer, number) for _ in range(2)]
    with placement.lent(owner):  # one process alone may use it
        found["lent"] = {name: value.clone() for name, value in owner.model.state_dict().items()}
        found["tied"] = owner.model.head.weight is owner.model.embedding.weight
        found["loss"] = owner.model.loss(3).item() if number == 0 and stage == 3 else None
    found["back"] = owner.model is model
    state, moments = shared(placement.state_dict(model)), shared(placement.optimizer_state(optimizer))
    found |= copy.deepcopy({"state": put_together(state), "moments": put_together(moments)})
    found["kept"] = sum(part.numel() for part in split(placement.optimizer_state(optimizer))[1].values())
    other = started(placement, state, moments, ADAMW, torch.float32)
    whole = Replicated()
    copied = started(whole, state, moments, ADAMW, torch.float32)
    step(whole, *copied, number)
    found["copied"] = dict(copied[0].state_dict())
    found["left out"] = left_out(placement, model, optimizer, number)
    for each, optimizer_of in ((model, optimizer), other):
        step(placement, each, optimizer_of, number)
    found["went on"] = [put_together(shared(placement.state_dict(each))) for each in (model, other[0])]
    stepped = weakref.ref(optimizer)
    placement.give_back(owner)
    del model, optimizer, each, optimizer_of
    gc.collect()
    found["left behind"] = stepped() is not None
    found["given"] = {name: value.detach().clone() for name, value in owner.model.state_dict().items()}
    found["plain"] = type(owner.model) is Toy and passes_more(owner.model, number) == 0
    placement.place(owner.model)  # a second stage
    again = placement.learns(owner.model, ADAMW(trained(owner.model)))
    found["again"] = step(placement, owner.model, again, number)
    found |= from_one(placement, number, folder)
    return found | {"bfloat16": in_bfloat16(placement, number), "reference": reference(placement, number)}


def left_out(placement: Placement, model: Toy, optimizer: Any, number: int) -> list[Any]:
    """Steps in which one process has something that is not finite, and whether anything moved."""
    norms = []
    before = put_together(shared(placement.state_dict(model)))
    for loss_is_finite in (True, False):
        factor = math.inf if number == 1 and loss_is_finite else 1.0
        (model.loss(0) * factor).backward()
        norms.append(placement.sum_clip_step(model, optimizer, max_norm=1.0, finite=loss_is_finite or number == 0))
    after = put_together(shared(placement.state_dict(model)))
    return [*norms, any(not torch.equal(value, after[name]) for name, value in before.items())]


def from_one(placement: Placement, number: int, folder: Path) -> dict[str, Any]:
    """Weights and states learned from weights and states that one process had whole."""
    start = torch.load(folder / "whole.pt", weights_only=True)
    found: dict[str, Any] = {}
    for name, make in (("moments", ADAMW), ("masters", MASTERS)):
        model, optimizer = started(placement, start["weights"], start[name], make, torch.float32)
        step(placement, model, optimizer, number)
        found[f"from one's {name}"] = put_together(shared(placement.state_dict(model)))
        found[f"{name} after"] = put_together(shared(placement.optimizer_state(optimizer)))
    try:
        placement.load_state_dict(toy(), {**start["weights"], "more": torch.zeros(1)})
    except RuntimeError as error:
        found["strict"] = str(error)
    return found


def in_bfloat16(placement: Placement, number: int) -> list[Any]:
    """Weights after two steps and, of a model that goes on from the first, after the second."""
    model = toy(torch.bfloat16)
    placement.place(model)
    optimizer = placement.learns(model, ADAMW(trained(model)))
    step(placement, model, optimizer, number)
    state, moments = shared(placement.state_dict(model)), shared(placement.optimizer_state(optimizer))
    other = started(placement, state, moments, ADAMW, torch.bfloat16)
    norms = [step(placement, *each, number) for each in ((model, optimizer), other)]
    masters = [put_together(shared(placement.optimizer_state(each)))["state"] for each in (optimizer, other[1])]
    return [norms, masters]


def reference(placement: Placement, number: int) -> tuple[float, bool]:
    """The loss of a row by a model that learns nothing, and whether it is cut up."""
    frozen = toy().requires_grad_(False)
    placement.place(frozen)
    with torch.no_grad():
        return float(frozen.loss(3 + number)), is_cut(frozen.embedding.weight)


@dataclass
class Alone:
    """The same in one process."""

    norms: list[float | None]
    state: dict[str, Any]
    moments: dict[str, Any]
    losses: list[float]
    went_on: dict[str, Any]
    again: float | None
    masters: dict[str, Any]
    mastered: dict[str, Any]
    masters_after: dict[str, Any]
    reference: list[float]


@pytest.fixture(scope="module")
def alone() -> Alone:
    placement, model = Replicated(), toy()
    rows = [*ROWS[0], *ROWS[1]]
    optimizer = ADAMW(trained(model))
    norms = [learned(placement, model, optimizer, rows) for _ in range(2)]
    state, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    losses = [model.loss(3).item()]
    learned(placement, model, optimizer, rows)
    went_on = copy.deepcopy(model.state_dict())
    again = learned(placement, model, ADAMW(trained(model)), rows)
    model.load_state_dict(state)
    masters = MASTERS(trained(model))
    learned(placement, model, masters, [3])
    model.load_state_dict(state)
    before = copy.deepcopy(masters.state_dict())
    for kept, value in zip(before["states"], trained(model), strict=True):
        kept["master"] = value.detach().clone()  # weights and masters belong together
    masters.load_state_dict(before)
    learned(placement, model, masters, rows)
    after = copy.deepcopy(masters.state_dict())
    first = [toy().loss(row).item() for row in (3, 4)]
    return Alone(norms, state, moments, losses, went_on, again, before, dict(model.state_dict()), after, first)


@pytest.fixture(scope="module", params=[pytest.param(number, marks=NEEDS_DEEPSPEED) for number in (2, 3)])
def stage(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def two(stage: int, tmp_path_factory: pytest.TempPathFactory, alone: Alone) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("zero")
    torch.save({"weights": alone.state, "moments": alone.moments, "masters": alone.masters}, folder / "whole.pt")
    return in_two(partial(of_process, stage=stage), folder)


def close(found: Any, expected: Any) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_each_process_has_a_part(stage: int, two: list[dict[str, Any]]) -> None:
    language = ["embedding.weight", "blocks.0.weight", "blocks.0.bias", "blocks.1.weight"]  # 15 + 9 + 3 + 9 numbers
    assert [found["cut"] for found in two] == [language if stage == 3 else []] * 2
    assert sum(found["kept"] for found in two) == 2 * 36  # two moments
    assert min(found["kept"] for found in two) >= 2 * 16


def test_steps_are_those_of_one_process(two: list[dict[str, Any]], alone: Alone) -> None:
    assert [found["more"] for found in two] == [0, 1]
    for found in two:
        assert found["norms"] == pytest.approx(alone.norms, rel=1e-6)
        close(found["state"], alone.state)
        close(found["moments"]["state"], alone.moments["state"])
        assert found["moments"]["param_groups"] == alone.moments["param_groups"]


def test_a_lent_model_is_whole(stage: int, two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        close(found["lent"], alone.state)
        assert found["tied"]
        assert found["back"]
    assert stage == 2 or two[0]["loss"] == pytest.approx(alone.losses[0], rel=1e-5)


def test_learning_goes_on_from_pieces_and_after_steps_left_out(two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        assert found["left out"] == [None, None, False]
        torch.testing.assert_close(found["went on"][0], found["went on"][1], rtol=0, atol=0)
        close(found["went on"][0], alone.went_on)


def test_what_it_has_saved_is_taken_where_weights_are_copied(two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        close(found["copied"], alone.went_on)


def test_a_model_that_is_given_back_is_whole_and_may_learn_again(two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        assert found["plain"]
        assert not found["left behind"], "states take memory as long as something has the optimizer"
        close(found["given"], alone.went_on)
        assert found["again"] == pytest.approx(alone.again, rel=1e-5)


def test_what_one_process_had_whole_is_taken(two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        close(found["from one's moments"], alone.went_on)
        close(found["from one's masters"], alone.mastered)
        close(found["masters after"]["states"], alone.masters_after["states"])
        assert found["masters after"]["lr"] == 0.01
        assert "more" in found["strict"]


def test_masters_of_bfloat16_weights_are_saved(two: list[dict[str, Any]]) -> None:
    for found in two:
        norms, masters = found["bfloat16"]
        assert norms[0] == norms[1]
        assert masters[0][0].keys() == {"master", "step", "exp_avg", "exp_avg_sq"}
        assert masters[0][0]["master"].dtype == torch.float32
        torch.testing.assert_close(masters[0], masters[1], rtol=0, atol=0)


def test_a_model_that_learns_nothing_is_cut_in_stage_3(stage: int, two: list[dict[str, Any]], alone: Alone) -> None:
    for found, expected in zip(two, alone.reference, strict=True):
        loss, cut = found["reference"]
        assert loss == pytest.approx(expected, rel=1e-6)
        assert cut == (stage == 3)


@pytest.mark.parametrize("stage_of", [2, 3])
def test_what_it_cannot_learn_is_refused_by_name(stage_of: int) -> None:
    placement = zero(stage_of)
    model = Toy()
    with pytest.raises(ConfigError, match=r"learns neither adapters nor the vision tower.*set trainer=fsdp"):
        placement.learns(model, ADAMW(model.parameters()))
    with pytest.raises(ConfigError, match=r"module.optimizer=Adagrad: .*choose MasterAdamW, one of torch.optim.AdamW"):
        placement.learns(model, torch.optim.Adagrad(trained(toy())))
    with pytest.raises(ConfigError, match=r"policy.dtype=float16: .*set policy.dtype=bfloat16"):
        placement.place(toy(torch.float16))
