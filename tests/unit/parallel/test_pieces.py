"""Marks and parts of nested values, and what comes back of them."""

from __future__ import annotations

import torch

from zoom_iqa.parallel.pieces import Part, Pieces, pieced, put_together, split

WHOLE = torch.arange(10.0).reshape(5, 2)


def checkpoint(rows: slice) -> dict[str, object]:
    part = Part(WHOLE[rows], (5, 2))
    return {"state_dict": {"a": part, "b": torch.ones(3)}, "states": [{0: {"m": part, "step": 1}}, (2, "x")], "n": 7}


def test_three_processes_give_parts_and_one_takes_them_whole() -> None:
    given = [split(checkpoint(rows)) for rows in (slice(0, 2), slice(2, 4), slice(4, 5))]
    main = given[0][0]
    assert main["state_dict"]["a"] == {"zoom_iqa_piece": "/state_dict/a", "shape": [5, 2]}
    assert [set(parts) for _, parts in given] == [{"/state_dict/a", "/states/0/0/m"}] * 3
    found = pieced(main, [parts for _, parts in given])
    assert isinstance(found["state_dict"]["a"], Pieces)
    assert found["state_dict"]["a"].shape == (5, 2)
    whole = put_together(found)
    assert torch.equal(whole["state_dict"]["a"], WHOLE)
    assert torch.equal(whole["states"][0][0]["m"], WHOLE)
    assert (whole["states"][0][0]["step"], whole["states"][1], whole["n"]) == (1, (2, "x"), 7)


def test_what_is_whole_stays_as_it_is() -> None:
    values = {"a": torch.ones(2), "b": [1, {"c": None}]}
    main, parts = split(values)
    assert parts == {}
    assert put_together(pieced(main, [])) == values
