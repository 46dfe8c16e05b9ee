"""A multirun's jobs for SLURM as they are composed, and the processes that SLURM has started."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from lightning.fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf

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
