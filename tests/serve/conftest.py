"""Real servers, one for all tests of a file; without their environment the tests are skipped by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.command_line import Ended, run_module
from support.served import transformers_server, vllm_server, write_for_servers


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped policy as servers take it."""
    if find_spec("vllm") is None:
        pytest.skip("needs vLLM and its environment: make vllm-env, then make test-serve")
    folder = tmp_path_factory.mktemp("policy") / "tiny"
    write_for_servers(folder)
    return folder


@pytest.fixture(scope="module")
def vllm_url(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vllm_server(served_folder, tmp_path_factory.mktemp("log") / "vllm.log") as base_url:
        yield base_url


@pytest.fixture(scope="module")
def transformers_url(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_server(served_folder, tmp_path_factory.mktemp("log") / "transformers.log") as base_url:
        yield base_url


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    """A command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda module, *arguments: run_module(f"zoom_iqa.{module}", list(arguments), monkeypatch, capsys)
