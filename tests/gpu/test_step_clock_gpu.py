"""On a CUDA device: phases are timed by the device, whose work outlasts the calls that ask for it."""

from __future__ import annotations

import pytest
import torch

from zoom_iqa.learning.step_clock import StepClock
from zoom_iqa.objectives.measures import to_floats

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def test_phases_add_up_to_no_more_than_the_step() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    matrix = torch.randn(4096, 4096, device=device)
    clock = StepClock(phases=("forward", "backward", "optimizer"))
    for _ in range(2):  # the first also starts libraries
        clock.start(device)
        for phase in ("forward", "backward"):
            with clock.phase(phase):
                for _ in range(20):
                    matrix = matrix @ matrix / 4096
        figures = to_floats(clock.measures(images=4, tokens={}, processes=1))
    assert figures["seconds/forward"] > 1e-3
    assert figures["seconds/optimizer"] == 0
    assert figures["seconds/forward"] + figures["seconds/backward"] <= figures["seconds/step"]
    assert figures["memory/peak"] > 4096 * 4096 * 4 / 1e9
