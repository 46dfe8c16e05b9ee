"""A multirun's jobs for SLURM as they are composed, and the processes that SLURM has started."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from lightning.fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from support.command_line import run_train
from zoom_iqa.config.location import conf_dir
from zoom_iqa.training.fabric import fabric_of, starts_processes

SEVERAL = ("trainer=ddp", "trainer.devices=8", "trainer.num_nodes=2", "hydra.launcher.tasks_per_node=8")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", overrides=["hydra/launcher=slurm", *overrides], return_hydra_config=True)


def test_a_job_has_a_task_for_each_process() -> None:
    launcher = composed(*SEVERAL).hydra.launcher
    assert launcher._target_.endswith(".SlurmLauncher")
    assert (launcher.nodes, launcher.tasks_per_node, launcher.gpus_per_node) == (2, 8, 8)
    assert launcher.max_num_timeout > 0, "a job whose time is over is queued again"
    alone = composed().hydra.launcher
    assert (alone.nodes, alone.tasks_per_node, alone.gpus_per_node) == (1, 1, 1)


def test_submitit_takes_the_config() -> None:
    cfg = composed(*SEVERAL)
    OmegaConf.set_struct(cfg, value=True)
    made = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=None, callbacks=None),  # type: ignore[arg-type]
        task_function=lambda _: None,
        config=cfg,
    )
    assert isinstance(made, Launcher)
    assert made.params["tasks_per_node"] == 8


def test_without_slurm_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "hydra/launcher=slurm", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    ended = run_train(arguments, monkeypatch, capsys)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "hydra/launcher=slurm: this machine has no srun" in ended.err


def test_jobs_for_other_machines_need_no_gpu_on_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Past the checks submitit is asked, which finds no sbatch beside this srun."""
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\nexit 1\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    of_sweep = ["-m", "hydra/launcher=slurm", "seed=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    several = ["machine=gpu", "trainer=ddp", "trainer.devices=8", "hydra.launcher.tasks_per_node=8"]
    with pytest.raises(FileNotFoundError, match="sbatch"):
        run_train([*of_sweep, "+experiment=quickstart", *several], monkeypatch, capsys)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_what_slurm_has_started_is_joined_and_not_started_again(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # a Fabric writes its own there, for all loggers of this process
    settings = {"accelerator": "cpu", "strategy": strategy, "devices": 2, "num_nodes": 1}
    assert starts_processes(fabric_of(settings, where="trainer", patience_s=1.0))
    variables = {"NTASKS": "2", "NTASKS_PER_NODE": "2", "PROCID": "1", "LOCALID": "1", "NODEID": "0"}
    variables |= {"JOB_ID": "7", "JOB_NAME": "train", "STEP_NODELIST": "node1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SRUN_CPUS_PER_TASK", "1")
    fabric = fabric_of(settings, where="trainer", patience_s=1.0)
    assert not starts_processes(fabric)
    environment = fabric.strategy.cluster_environment
    assert (environment.local_rank(), environment.world_size()) == (1, 2)
