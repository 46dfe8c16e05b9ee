"""Draws for rows that another program runs: those of the sampler, by a request's own numbers, however rows move."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.engine_runs import SAMPLING
from zoom_iqa.base.errors import SessionError
from zoom_iqa.engines.sampler import uniform_draws
from zoom_iqa.engines.vllm.drawing import Drawing

FREE = torch.zeros(5)
LOGITS = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.5], [2.0, 0.0, 0.0, 0.0, 0.0]])


def test_a_token_is_the_first_whose_cumulative_probability_exceeds_the_requests_number() -> None:
    drawing = Drawing(bias_V=FREE)
    drawing.start("a", sampling=SAMPLING, seed=3)
    p_V = LOGITS[0].double().softmax(-1)
    ids = [int(drawing(LOGITS[:1], [("a", place)])) for place in range(6)]
    expected = [int((p_V.cumsum(-1) <= u).sum()) for u in uniform_draws(3, 24)[:6].double()]
    assert ids == expected
    assert len(set(ids)) > 1
    logprobs, entropies = drawing.take("a", ids)
    assert logprobs == pytest.approx(p_V.log()[ids].tolist(), abs=1e-6)
    assert entropies == pytest.approx([-(p_V * p_V.log()).sum().item()] * 6, abs=1e-6)


def test_rows_may_change_places_come_again_and_be_drawn_by_other_rules() -> None:
    drawing = Drawing(bias_V=FREE)
    drawing.start("a", sampling=SAMPLING, seed=1)
    drawing.start("b", sampling=replace(SAMPLING, greedy=True), seed=2)
    first = drawing(LOGITS, [("a", 0), ("b", 0)])
    turned = drawing(LOGITS.flip(0), [("b", 0), ("a", 0)])
    assert first.tolist() == turned.flip(0).tolist()
    assert first[1] == 0
    assert drawing.take("a", [int(first[0])])[0][0] == pytest.approx(LOGITS[0].log_softmax(-1)[first[0]].item())


def test_banned_tokens_are_not_drawn_and_the_logits_stay_as_they_were() -> None:
    banned = FREE.clone()
    banned[2] = -1e30
    drawing = Drawing(bias_V=banned)
    drawing.start("a", sampling=replace(SAMPLING, greedy=True), seed=1)
    logits = LOGITS[:1].clone()
    assert drawing(logits, [("a", 0)]).tolist() == [1]  # 2 would be the most probable
    assert torch.equal(logits, LOGITS[:1])


def test_other_tokens_than_were_drawn_are_an_error() -> None:
    drawing = Drawing(bias_V=FREE)
    drawing.start("a", sampling=replace(SAMPLING, greedy=True), seed=1)
    with pytest.raises(SessionError, match="'a' is asked for twice at once"):
        drawing.start("a", sampling=SAMPLING, seed=1)
    drawing(LOGITS[:1], [("a", 0)])
    with pytest.raises(SessionError, match="'a': vLLM returns other tokens than were drawn"):
        drawing.take("a", [2, 2])
