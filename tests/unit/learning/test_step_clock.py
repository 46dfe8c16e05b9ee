"""Seconds by phase on a clock that is set by hand, and rates of several processes together."""

from __future__ import annotations

import time

import pytest
import torch

from support.random_policy import build_random_policy
from zoom_iqa.learning import step_clock
from zoom_iqa.learning.step_clock import StepClock, TimedLikelihood, peak_memory
from zoom_iqa.objectives.measures import Measures, merge, to_floats
from zoom_iqa.policy.log_probabilities import Likelihood, PromptCompletion

CPU = torch.device("cpu")


class Time:
    def __init__(self) -> None:
        self.now = 100.0


@pytest.fixture
def clock_time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(step_clock, "peak_memory", lambda device: 3_000_000_000)
    return made


def step(clock: StepClock, at: Time, *, processes: int = 1) -> Measures:
    """Two seconds of rollout, half a second twice of backward, one of nothing; 8 images, 300 tokens."""
    clock.start(CPU)
    with clock.phase("rollout"):
        at.now += 2.0
    for _ in range(2):
        clock.timed("backward", lambda: setattr(at, "now", at.now + 0.5))()
    at.now += 1.0
    return clock.measures(images=8, tokens={"made": (300, "rollout"), "all": (300, "step")}, processes=processes)


def test_phases_add_up_and_rates_are_of_their_phase(clock_time: Time) -> None:
    clock = StepClock(phases=("rollout", "backward", "reference"))
    assert to_floats(step(clock, clock_time)) == {
        "seconds/rollout": 2.0,
        "seconds/backward": 1.0,
        "seconds/reference": 0.0,  # there in every process, whether or not it had anything to do
        "seconds/step": 4.0,
        "speed/images": 2.0,
        "speed/made": 150.0,
        "speed/all": 75.0,
        "memory/peak": 3.0,
    }


def test_time_between_steps_is_known_from_the_second_on(clock_time: Time) -> None:
    clock = StepClock(phases=("rollout", "backward"))
    assert "seconds/between" not in to_floats(step(clock, clock_time))
    clock_time.now += 0.25  # data, checkpoints, validation
    assert to_floats(step(clock, clock_time))["seconds/between"] == 0.25


def test_two_processes_are_as_fast_as_both_together(clock_time: Time) -> None:
    """Of which one takes 4 seconds for 8 images and the other 8: in the 6 that they take on average they make 16."""
    clocks = [StepClock(phases=("rollout", "backward")) for _ in range(2)]
    one = step(clocks[0], clock_time, processes=2)
    clocks[1].start(CPU)
    with clocks[1].phase("rollout"):
        clock_time.now += 8.0
    other = clocks[1].measures(images=8, tokens={"made": (300, "rollout"), "all": (300, "step")}, processes=2)
    together = to_floats(merge([one, other]))
    assert together["seconds/step"] == 6.0
    assert together["speed/images"] == pytest.approx(16 / 6)
    assert together["speed/made"] == pytest.approx(600 / 5)


def test_there_are_no_other_phases() -> None:
    with (
        pytest.raises(ValueError, match="'rolout' is none of the phases rollout, backward"),
        StepClock(phases=("rollout", "backward")).phase("rolout"),
    ):
        pass


def test_a_block_that_fails_is_counted_too(clock_time: Time) -> None:
    clock = StepClock(phases=("rollout",))
    clock.start(CPU)

    def fail() -> None:
        clock_time.now += 2.0
        raise RuntimeError

    with pytest.raises(RuntimeError):
        clock.timed("rollout", fail)()
    assert to_floats(clock.measures(images=1, tokens={}, processes=1))["seconds/rollout"] == 2.0


def test_a_timed_likelihood_is_the_likelihood() -> None:
    policy = build_random_policy()
    settings = {"policy": policy, "temperature": 1.0, "features": None, "logit_chunk": 64}
    clock = StepClock(phases=("forward", "backward"))
    from zoom_iqa.base.types import Message, TextPart

    prompt = policy.encode((Message("user", (TextPart("a"),)),))
    samples = [PromptCompletion(prompt, "k", torch.tensor(policy.completion_ids("b c")))]
    clock.start(CPU)
    timed = TimedLikelihood(clock=clock, phase="forward", **settings)(samples, entropy=False, select_S=None)  # type: ignore[arg-type]
    plain = Likelihood(**settings)(samples, entropy=False, select_S=None)  # type: ignore[arg-type]
    assert torch.equal(timed.logp_T, plain.logp_T)
    assert to_floats(clock.measures(images=1, tokens={}, processes=1))["seconds/forward"] > 0


def test_memory_of_a_process_is_in_bytes() -> None:
    """At least what torch alone takes, and no more than a machine has."""
    assert 50e6 < peak_memory(CPU) < 10e12
