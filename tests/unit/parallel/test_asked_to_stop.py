"""A signal lets the step in hand end, wherever it comes; a second Control-C does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from zoom_iqa.base.errors import StoppedError
from zoom_iqa.parallel.stopping import agreed_stop, stepping, stop_asked, stoppable, until_stopped


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def stopped(run: Callable[[], object]) -> signal.Signals:
    """The signal that stops ``run``."""
    with pytest.raises(StoppedError) as error, stoppable():
        run()
    assert str(error.value) == f"stopped by {error.value.number.name}"
    return error.value.number


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_between_steps_it_acts_at_once(number: signal.Signals) -> None:
    def run() -> None:
        send(number)
        pytest.fail("it went on")

    assert stopped(run) == number


def test_in_a_step_it_waits(capfd: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []

    def steps() -> Iterator[int]:
        for number in range(5):
            if number == 2:
                send(signal.SIGTERM)
            yield number

    assert stopped(lambda: done.extend(until_stopped(steps()))) == signal.SIGTERM
    assert done == [0, 1, 2]
    assert capfd.readouterr().err == "SIGTERM: stopping after the step in hand; Control-C (again) stops at once\n"


def test_a_second_control_c_does_not_wait() -> None:
    def run() -> None:
        with stepping():
            send(signal.SIGINT)
            assert agreed_stop() == signal.SIGINT
            send(signal.SIGINT)
            pytest.fail("it went on")

    assert stopped(run) == signal.SIGINT


def test_a_second_sigterm_waits_too() -> None:
    seen: list[object] = []

    def run() -> None:
        with stepping():
            send(signal.SIGTERM)
            send(signal.SIGTERM)
            seen.append(stop_asked())

    assert stopped(run) == signal.SIGTERM
    assert seen == [signal.SIGTERM]


def test_steps_inside_a_step_are_its_parts() -> None:
    done: list[int] = []

    def run() -> None:
        with stepping() as whole:
            assert whole
            for part in until_stopped(range(3)):
                send(signal.SIGTERM)
                done.append(part)

    assert stopped(run) == signal.SIGTERM
    assert done == [0, 1, 2]


def test_nobody_asks_for_long() -> None:
    with stoppable():
        assert list(until_stopped(range(3))) == [0, 1, 2]
        assert agreed_stop() is None
    assert stopped(lambda: send(signal.SIGTERM)) == signal.SIGTERM
    with stoppable(), stepping():  # the next run knows nothing of it
        assert stop_asked() is None


def test_handlers_are_those_of_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before[1]
        assert signal.getsignal(signal.SIGUSR1) == before[2]  # not in SLURM
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_slurm_warns_by_sigusr1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert stopped(lambda: send(signal.SIGUSR1)) == signal.SIGUSR1
