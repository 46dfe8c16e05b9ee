"""``zoom-iqa demo``: it serves this machine until it is stopped; what cannot be is one line."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command_line import Ended, run_module
from zoom_iqa.reports.demo.port import check_port

Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")  # what the command sets goes with the test
    return lambda *arguments: run_module("zoom_iqa.demo", list(arguments), monkeypatch, capsys)


def refused(ended: Ended) -> str:
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    return ended.err


def test_without_gradio_it_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else find(name, *rest)
    )
    assert "pip install -c constraints.txt -e '.[demo]'" in refused(run())


def test_what_cannot_be_is_one_line(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="needs gradio (extra demo)")
    assert "--port 70000 must be between 1 and 65535" in refused(run("--port", "70000"))
    assert "'--port': Input should be a valid integer" in refused(run("--port", "many"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(run("--port", str(port)))
        assert said.startswith(f"error: --port {port}: Address already in use; give another one, such as --port ")
        check_port(int(said.split()[-1]))
    assert str(tmp_path / "none") in refused(run("--port", str(port), "--policy", str(tmp_path / "none")))
    assert "--task zom" in refused(run("--port", str(port), "--task", "zom"))


def test_it_serves_this_machine_until_it_is_stopped(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gradio", reason="needs gradio (extra demo)")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port = asked.getsockname()[1]
    shown: list[str] = []
    visitor = threading.Thread(target=visit_and_stop, args=(f"http://127.0.0.1:{port}", shown))
    visitor.start()
    ended = run("--port", str(port))
    visitor.join()
    assert "it looks before it judges" in shown[0]
    assert (ended.status, ended.out) == (0, "")
    advice, opened = ended.err.splitlines()
    assert "small policy shipped" in advice
    assert opened == f"open http://127.0.0.1:{port} in a browser; Control-C ends it"
    assert list(tmp_path.glob("zoom_iqa_demo_*")) == []


def visit_and_stop(address: str, shown: list[str]) -> None:
    """Wait for the page, read it, and press Control-C."""
    for _ in range(1200):
        try:
            with urllib.request.urlopen(address) as answer:
                shown.append(answer.read().decode())
            break
        except OSError:
            time.sleep(0.1)
    time.sleep(0.5)  # it says where it is before it waits
    os.kill(os.getpid(), signal.SIGINT)
