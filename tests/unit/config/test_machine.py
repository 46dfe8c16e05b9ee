"""How the work is done is no part of a run's identity, and which processes there are is part of how."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
import yaml

from support.small_run import save_policy, small_run
from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config import training_run
from zoom_iqa.config.composition import composed
from zoom_iqa.config.kept_config import kept_config
from zoom_iqa.config.machine import patience_s
from zoom_iqa.training.fabric import LONGEST_S, fabric_of


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
        fabric_of(settings, where="machine", patience_s=1.0)


def test_processes_wait_for_one_that_asks_every_engine_it_may() -> None:
    machine = {"engine_timeout_s": 1800, "engine_attempts": 3, "engine_wait_s": 5}
    assert patience_s(machine) == 3 * 1800 + 5 + 10 + 4 * 3600
    settings = {"accelerator": "cpu", "strategy": "ddp", "devices": 1}
    for asked, given in ((20_000.0, 20_000.0), (math.inf, LONGEST_S)):
        strategy = fabric_of(settings, where="trainer", patience_s=asked).strategy
        assert strategy._timeout.total_seconds() == given  # type: ignore[attr-defined]


def test_fewer_processes_than_asked_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a SLURM script without srun, where nobody starts the others."""
    monkeypatch.setattr(training_run, "launch", lambda fabric, **_: None)
    monkeypatch.setattr(training_run, "_count", lambda fabric: 2)
    with pytest.raises(ConfigError, match=r"^trainer: 2 processes are asked for and 1 run; .* srun"):
        small_run(tmp_path / "run", save_policy(tmp_path))
