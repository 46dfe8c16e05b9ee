"""A model that is cut up over two processes learns, is lent, saved and loaded as one process would have it whole."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from support.cut_toy import Owner, Toy, learned, trained
from support.two_processes import in_two
from zoom_iqa.learning.master_adamw import MasterAdamW
from zoom_iqa.parallel.pieces import Pieces, pieced, put_together, split
from zoom_iqa.parallel.placement import Placement, Replicated, passes_more
from zoom_iqa.parallel.sharded import Sharded
from zoom_iqa.parallel.tensor_parts import is_cut, whole

ADAMW = partial(torch.optim.AdamW, lr=0.01)
MASTERS = partial(MasterAdamW, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)


def sharded() -> Sharded:
    return Sharded(blocks=lambda model: model.blocks, kept_whole=lambda model: model.tower.parameters())


def of_process(number: int, folder: Path) -> dict[str, Any]:
    placement, model = sharded(), Toy()
    if number == 1:
        for parameter in model.parameters():
            parameter.data.zero_()  # what the first has counts
    placement.place(model)
    owner, optimizer = Owner(model), ADAMW(trained(model))
    found: dict[str, Any] = {
        "cut": {name: is_cut(parameter) for name, parameter in model.named_parameters()},
        "kept": sum(parameter.to_local().numel() for parameter in trained(model) if is_cut(parameter)),
        "norms": [],
    }
    own = ([0, 1], [2])[number]
    for _ in range(2):
        more = passes_more(model, len(own))
        found["norms"].append(learned(placement, model, optimizer, own, more=more))
    found["more"] = more
    with placement.lent(owner):  # one process alone may use it
        found["lent"] = {name: value.clone() for name, value in owner.model.state_dict().items()}
        found["tied"] = owner.model.head.weight is owner.model.embedding.weight
        found["loss"] = owner.model.loss(3).item() if number == 0 else None
        found["shared"] = owner.model.tower.weight is model.tower.weight
    found["back"] = owner.model is model
    state, moments = copy.deepcopy(placement.state_dict(model)), placement.optimizer_state(optimizer)
    found |= {"state": state, "moments": copy.deepcopy(moments), "pieces": from_pieces(state, moments)}
    # weights and states of one that was whole fit in, and learning goes on
    start = torch.load(folder / "whole.pt", weights_only=True)
    try:
        placement.load_state_dict(model, {**start["weights"], "more": torch.zeros(1)})
    except RuntimeError as error:
        found["strict"] = str(error)
    placement.load_state_dict(model, start["weights"])
    placement.load_optimizer_state(optimizer, start["moments"])
    learned(placement, model, optimizer, own, more=passes_more(model, len(own)))
    found["went on"] = placement.state_dict(model)
    found["left out"] = left_out(placement, model, optimizer, number)
    placement.give_back(owner)
    found["given"] = {name: value.detach().clone() for name, value in owner.model.state_dict().items()}
    found["plain"] = type(owner.model) is Toy and not any(map(is_cut, owner.model.parameters()))
    placement.place(owner.model)  # a second stage
    found["placed again"] = placement.state_dict(owner.model)
    return found | with_masters(number, start)


def from_pieces(state: Any, moments: Any) -> dict[str, Any]:
    """What another model and optimizer take of the pieces of all: the same as these, cut alike, and from their own."""
    main, own = split({"state": state, "moments": moments})
    files: list[Any] = [None, None]
    dist.all_gather_object(files, own)
    found = pieced(main, files)
    placement, model = sharded(), Toy()
    placement.place(model)
    optimizer = ADAMW(trained(model))
    placement.load_state_dict(model, found["state"])
    placement.load_optimizer_state(optimizer, found["moments"])
    return {"state": placement.state_dict(model), "moments": placement.optimizer_state(optimizer)}


def left_out(placement: Placement, model: Toy, optimizer: Any, number: int) -> list[Any]:
    """Steps in which one process has something that is not finite, and whether anything moved."""
    norms = []
    before = {name: whole(value).clone() for name, value in model.state_dict().items()}
    for loss_is_finite in (True, False):
        factor = math.inf if number == 1 and loss_is_finite else 1.0
        (model.loss(0) * factor).backward()
        norms.append(placement.sum_clip_step(model, optimizer, max_norm=1.0, finite=loss_is_finite or number == 0))
    moved = any(not torch.equal(whole(value), before[name]) for name, value in model.state_dict().items())
    return [*norms, moved, all(parameter.grad is None for parameter in model.parameters())]


def with_masters(number: int, start: dict[str, Any]) -> dict[str, Any]:
    placement, model = sharded(), Toy()
    placement.load_state_dict(model, start["weights"])
    placement.place(model)
    optimizer = MASTERS(trained(model))
    placement.load_optimizer_state(optimizer, start["masters"])
    own = ([0, 1], [2])[number]
    learned(placement, model, optimizer, own, more=passes_more(model, len(own)))
    masters = placement.optimizer_state(optimizer)
    return {"masters": masters, "mastered": placement.state_dict(model)}


@dataclass
class Alone:
    """The same in one process."""

    norms: list[float | None]
    weights: dict[str, Tensor]
    moments: dict[str, Any]
    loss: float
    went_on: dict[str, Tensor]
    masters: dict[str, Any]
    mastered: dict[str, Tensor]
    masters_after: dict[str, Any]


@pytest.fixture(scope="module")
def alone() -> Alone:
    placement, model = Replicated(), Toy()
    optimizer = ADAMW(trained(model))
    norms = [learned(placement, model, optimizer, [0, 1, 2]) for _ in range(2)]
    weights, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    loss = model.loss(3).item()
    learned(placement, model, optimizer, [0, 1, 2])
    went_on = copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    masters = MASTERS(trained(model))
    learned(placement, model, masters, [3])
    before = copy.deepcopy(masters.state_dict())
    learned(placement, model, masters, [0, 1, 2])
    return Alone(norms, weights, moments, loss, went_on, before, dict(model.state_dict()), masters.state_dict())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, alone: Alone) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sharded")
    torch.save({"weights": alone.weights, "moments": alone.moments, "masters": alone.masters}, folder / "whole.pt")
    return in_two(of_process, folder)


def joined(two: list[dict[str, Any]], key: str) -> Any:
    """Something that both processes have saved, as it is read again."""
    (main, first), (_, second) = (split(found[key]) for found in two)
    return put_together(pieced(main, [first, second]))


def test_each_process_has_its_part_of_all_but_the_tower(two: list[dict[str, Any]]) -> None:
    for found in two:
        assert found["cut"] == {
            "tower.weight": False, "embedding.weight": True, "blocks.0.weight": True, "blocks.0.bias": True,
            "blocks.1.weight": True,
        }  # fmt: skip
    assert [found["kept"] for found in two] == [9 + 6 + 2 + 6, 6 + 3 + 1 + 3]  # rows 3 and 2 of 5, 2 and 1 of 3


def test_steps_are_those_of_one_process(two: list[dict[str, Any]], alone: Alone) -> None:
    assert [found["more"] for found in two] == [0, 1]
    for found in two:
        assert found["norms"] == pytest.approx(alone.norms, rel=1e-6)
        assert found["norms"] == two[0]["norms"]
    assert alone.norms[0] > 0.5, "clipped"
    torch.testing.assert_close(joined(two, "state"), alone.weights, rtol=1e-5, atol=1e-6)
    assert [found["state"]["embedding.weight"].value.shape[0] for found in two] == [3, 2]
    assert joined(two, "state").keys() == alone.weights.keys()


def test_the_state_of_an_optimizer_is_that_of_one_process(two: list[dict[str, Any]], alone: Alone) -> None:
    found = joined(two, "moments")
    assert found["param_groups"] == alone.moments["param_groups"]
    torch.testing.assert_close(found["state"], alone.moments["state"], rtol=1e-4, atol=1e-6)


def test_a_lent_model_is_whole_and_one_process_may_use_it_alone(two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        torch.testing.assert_close(found["lent"], alone.weights, rtol=1e-5, atol=1e-6)
        assert found["tied"]
        assert found["shared"]
        assert found["back"]
    assert two[0]["loss"] == pytest.approx(alone.loss, rel=1e-5)


def test_whole_weights_and_states_are_taken_and_learned_from(two: list[dict[str, Any]], alone: Alone) -> None:
    torch.testing.assert_close(joined(two, "went on"), alone.went_on, rtol=1e-5, atol=1e-6)
    assert all("more" in found["strict"] for found in two)


def test_pieces_are_taken_as_they_were_given(two: list[dict[str, Any]]) -> None:
    again = [found["pieces"] for found in two]
    torch.testing.assert_close(joined(again, "state"), joined(two, "state"), rtol=0, atol=0)
    torch.testing.assert_close(joined(again, "moments"), joined(two, "moments"), rtol=0, atol=0)


def test_one_process_takes_the_pieces_of_two(two: list[dict[str, Any]], alone: Alone) -> None:
    (main, first), (_, second) = (split({"w": found["state"], "m": found["moments"]}) for found in two)
    found, model = pieced(main, [first, second]), Toy()
    optimizer = ADAMW(trained(model))
    assert any(isinstance(value, Pieces) for value in found["w"].values())
    Replicated().load_state_dict(model, found["w"])
    Replicated().load_optimizer_state(optimizer, found["m"])
    torch.testing.assert_close(dict(model.state_dict()), alone.weights, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(optimizer.state_dict()["state"], alone.moments["state"], rtol=1e-4, atol=1e-6)


def test_where_one_process_has_no_finite_number_none_steps(two: list[dict[str, Any]]) -> None:
    assert all(found["left out"] == [None, None, False, True] for found in two)


def test_a_model_that_is_given_back_is_whole_and_may_be_placed_again(two: list[dict[str, Any]], alone: Alone) -> None:
    for found in two:
        assert found["plain"]
        torch.testing.assert_close(found["given"], alone.went_on, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(joined(two, "placed again"), alone.went_on, rtol=1e-5, atol=1e-6)


def test_masters_are_parts_and_saved_whole(two: list[dict[str, Any]], alone: Alone) -> None:
    torch.testing.assert_close(joined(two, "mastered"), alone.mastered, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(joined(two, "masters")["states"], alone.masters_after["states"], rtol=1e-4, atol=1e-6)
