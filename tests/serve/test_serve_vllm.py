"""vLLM serves the shipped policy on a CPU: its answers, its log-probabilities, and the commands that ask it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from support.command_line import Ended
from support.served import MODEL
from support.served_answers import curated_twice, judged_twice, listed_entropies, questions, served_and_native, through


def test_answers_and_log_probabilities_are_those_of_the_native_engine(vllm_url: str, tmp_path: Path) -> None:
    asked = questions()
    served, expected = served_and_native(vllm_url, MODEL, tmp_path / "log.jsonl", asked)
    for request in asked:
        key = request.key
        found, made = served[key], expected[key]
        assert (found.text, found.finish) == (through(made.text, "</answer>"), made.finish), key
        assert found.logprobs is not None
        assert made.logprobs is not None
        count = len(found.logprobs)  # a server lists no end token
        assert len(made.logprobs) - 1 <= count <= len(made.logprobs)
        torch.testing.assert_close(
            torch.tensor(found.logprobs), torch.tensor(made.logprobs[:count]), rtol=1e-3, atol=1e-3
        )
        assert found.entropies is not None
        listed = listed_entropies(request, made.token_ids or ())[:count]
        torch.testing.assert_close(torch.tensor(found.entropies), listed, rtol=1e-3, atol=1e-3)
        below = torch.tensor(made.entropies[:count]) - torch.tensor(found.entropies)
        assert below.min() > -1e-3  # at most the true entropy


def test_it_curates_and_is_asked_once(vllm_url: str, command: Callable[..., Ended]) -> None:
    card = curated_twice(command, vllm_url, MODEL)
    tests = card["vrf_tests"]
    assert isinstance(tests, dict)
    assert tests["entropy"]["had_values"] > 0  # its log-probabilities have come through


def test_it_judges_and_is_asked_once(vllm_url: str, command: Callable[..., Ended]) -> None:
    (found,) = judged_twice(command, vllm_url, MODEL)["systems"].values()  # type: ignore[attr-defined]
    assert found["images"] + sum(found["failures"].values()) == 2  # so small a policy cannot grade: typed, no number


def test_a_model_it_does_not_have_is_one_line(vllm_url: str, command: Callable[..., Ended]) -> None:
    ended = command("curate", "generator.model=other", f"generator.base_url={vllm_url}", "limit=1", "out=none")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert ended.err.startswith("error: model=other: ")
