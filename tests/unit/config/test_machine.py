"""How the work is done is no part of a run's identity, and which processes there are is part of how."""

from __future__ import annotations

import os

import pytest
import torch
import yaml

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.composition import composed
from zoom_iqa.config.machine import kept_config
from zoom_iqa.training.fabric import fabric_of


def kept(*overrides: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(kept_config(composed("train", [*overrides, "paths.run_dir=R"])))
    return found


def test_processes_of_a_trainer_are_kept_with_the_machine() -> None:
    one, nodes = kept(), kept("trainer=ddp", "trainer.devices=4", "trainer.num_nodes=2", "machine=gpu")
    machine, machines = one.pop("machine"), nodes.pop("machine")
    assert one == nodes
    assert isinstance(machine, dict)
    assert isinstance(machines, dict)
    shared = {"accelerator": "${machine.accelerator}"}
    assert machine["trainer"] == {**shared, "strategy": "auto", "devices": 1, "num_nodes": 1}
    assert machines["trainer"] == {**shared, "strategy": "ddp", "devices": 4, "num_nodes": 2}
    assert machines["accelerator"] == "gpu"


def test_how_a_judge_is_asked_is_kept_with_the_machine_and_who_it_is_with_the_run() -> None:
    chosen = ("reward=judged", "judge=api", "judge.speaker.model=m")
    one = kept(*chosen)
    more = kept(*chosen, "judge.speaker.budget.requests=9", "judge.speaker.attempts=2", "judge.speaker.concurrency=1")
    machine, other_machine = one.pop("machine"), more.pop("machine")
    assert one == more
    assert isinstance(machine, dict)
    assert isinstance(other_machine, dict)
    assert (machine["judge"]["budget"]["requests"], machine["judge"]["attempts"]) == (None, 6)
    assert (other_machine["judge"]["budget"]["requests"], other_machine["judge"]["attempts"]) == (9, 2)
    another = kept(*chosen[:2], "judge.speaker.model=n")
    another.pop("machine")
    assert one != another


def test_other_values_of_a_trainer_are_its_own() -> None:
    assert kept() != kept("trainer.precision=bf16-true")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_no_more_processes_than_processors(accelerator: str) -> None:
    settings = {"accelerator": accelerator, "strategy": "auto", "devices": (os.cpu_count() or 1) + 1}
    with pytest.raises(ConfigError, match=rf"^machine\.devices={settings['devices']}: this machine has"):
        fabric_of(settings, where="machine")
