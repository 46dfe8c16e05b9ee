"""Real servers as processes of a test: started, waited for, ended with all that they started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.free_port import free_port
from support.plain_policy import plain_policy
from zoom_iqa.policy.lora import plain_state_dict
from zoom_iqa.policy.widening import widened

HEAD_WIDTH = 64
"""The shipped policy's heads are 40 wide, which vLLM's kernels for CPUs do not know."""
MODEL = "tiny"
STARTS_WITHIN_S = 400.0
ENDS_WITHIN_S = 30.0
VLLM_VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def write_for_servers(folder: Path) -> None:
    """The shipped policy with heads that vLLM's kernels know."""
    policy = plain_policy()
    policy.model = widened(policy.model, plain_state_dict(policy.model), head_width=HEAD_WIDTH)
    policy.save(folder)


@contextmanager
def vllm_server(folder: Path, log: Path) -> Iterator[str]:
    """vLLM's server of OpenAI's protocol; its base address."""
    # the wheel for CPUs lacks the name under which the program `vllm` looks for its version
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", MODEL, "--dtype", "float32", "--enforce-eager", "--block-size", "32"]
    command += ["--max-model-len", "4096", "--max-num-seqs", "8", "--limit-mm-per-prompt", '{"image": 4, "video": 0}']
    with _process(command, log) as base_url:
        yield base_url


@contextmanager
def rollout_server(log: Path, *settings: str) -> Iterator[str]:
    """zoom_iqa.serve with the shipped policy; its address."""
    with _started([sys.executable, "-m", "zoom_iqa.serve", "port=0", *settings], log) as process:
        yield _printed_address(process, log)


@contextmanager
def transformers_server(folder: Path, log: Path) -> Iterator[str]:
    """The server that transformers brings; its model's name is the folder."""
    program = str(Path(sys.executable).parent / "transformers")
    with _process([program, "serve", str(folder), "--device", "cpu", "--dtype", "float32"], log) as base_url:
        yield base_url


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[str]:
    port = free_port()
    with _started([*command, "--host", "127.0.0.1", "--port", str(port)], log) as process:
        _wait_for(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _started(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env={**os.environ, **VLLM_VARIABLES}, start_new_session=True
        )
    try:
        yield process
    finally:
        _end(process)


def _printed_address(process: subprocess.Popen[bytes], log: Path) -> str:
    last = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < last:
        found = re.search(r"^rollouts of .* at (http://\S+)$", log.read_text(), re.MULTILINE)
        if found:
            return found[1]
        assert process.poll() is None, f"the server ended with status {process.returncode}:\n{log.read_text()[-4000:]}"
        time.sleep(0.2)
    raise AssertionError(f"the server prints no address in {STARTS_WITHIN_S} s:\n{log.read_text()[-4000:]}")


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    last = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < last:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with status {process.returncode}:\n{log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5.0):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"the server does not answer after {STARTS_WITHIN_S} s:\n{log.read_text()[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children, which are one group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(ENDS_WITHIN_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait()
