"""The server of transformers: images, and no log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.command_line import Ended
from support.served_answers import curated_twice, judged_twice, questions, served_and_native, through


def test_answers_are_those_of_the_native_engine(transformers_url: str, served_folder: Path, tmp_path: Path) -> None:
    served, expected = served_and_native(transformers_url, str(served_folder), tmp_path / "log.jsonl", questions())
    for key, made in expected.items():
        assert served[key].text == through(made.text, "</answer>").rstrip(), key  # the server takes white space off
        assert served[key].logprobs is None


def test_it_curates_without_the_entropy_test(
    transformers_url: str, served_folder: Path, command: Callable[..., Ended]
) -> None:
    card = curated_twice(command, transformers_url, str(served_folder))
    tests = card["vrf_tests"]
    assert isinstance(tests, dict)
    assert tests["entropy"]["had_values"] == 0


def test_it_judges(transformers_url: str, served_folder: Path, command: Callable[..., Ended]) -> None:
    (found,) = judged_twice(command, transformers_url, str(served_folder))["systems"].values()  # type: ignore[attr-defined]
    assert found["images"] + sum(found["failures"].values()) == 2
