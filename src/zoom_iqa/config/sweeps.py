"""A multirun: its jobs are looked at before the first begins, and at the end its runs stand in one table."""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import ConfigError, DataError, ZoomIQAError
from zoom_iqa.config.commands import FAILED, expected_errors, one_line
from zoom_iqa.config.composition import parsed
from zoom_iqa.config.go_on import go_on_with_all, tell_jobs
from zoom_iqa.config.training_run import check_parts
from zoom_iqa.reports.rendering import comma_separated, markdown
from zoom_iqa.reports.sweep import sweep_table

SUMMARY = "summary.csv"
_ON_THIS_MACHINE = (".BasicLauncher", ".JoblibLauncher")
"""Launchers whose jobs have this machine's processors; where SLURM runs them, this one may have no GPU."""
_ANY_MACHINE = {"accelerator": "cpu", "devices": 1, "num_nodes": 1}


class SweepSummary(Callback):
    """Checks the jobs of a multirun of zoom_iqa.train at its start; writes and prints its table at its end."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it before any job; a mistake in one ends the multirun in one line and status 2.

        The jobs of another sweeper are not known yet: each is checked as it begins.
        """
        tell_jobs(Path(config.hydra.sweep.dir))
        with expected_errors():
            _check_launcher(config.hydra.launcher._target_)
        if config.hydra.sweeper._target_.endswith(f".{BasicSweeper.__name__}"):
            with expected_errors():
                check_jobs(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls it when all jobs have ended; where some have failed the multirun's status is 2."""
        folder = Path(config.hydra.sweep.dir)
        try:
            table = sweep_table(folder)
        except DataError as error:
            print(f"no summary: {error}", file=sys.stderr)
            sys.exit(FAILED)
        with whole_text_file(folder / SUMMARY) as file:
            file.write(comma_separated(table))
        print(f"\n{markdown(table)}\n{folder / SUMMARY}")
        if table.notes:
            again = go_on_with_all(folder)
            print(f"error: {len(table.notes)} runs have not ended; to go on with them: {again}", file=sys.stderr)
            sys.exit(FAILED)


def check_jobs(config: DictConfig) -> None:
    """Pass a multirun whose every job could begin, each in a folder of its own.

    Raises:
        ConfigError: some have a mistake, and the message begins with what the first of them differs in, or says that
            all share it; or two share a folder.
    """
    given = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    (jobs,) = BasicSweeper.split_arguments(parsed([*given, *config.hydra.overrides.task]), None)
    shared = set.intersection(*map(set, jobs))
    place: dict[str, str] = {}
    mistakes: dict[str, str] = {}
    for number, job in enumerate(jobs):
        own = " ".join(one for one in job if one not in shared)
        try:
            whole = GlobalHydra.instance().config_loader().load_sweep_config(config, list(job))
        except HydraException:
            return  # Hydra composes every job itself before the first, and its error is explained
        try:
            with _as_job(whole, number) as (cfg, subdir):
                check_parts(cfg)
        except (ZoomIQAError, HydraException, OmegaConfBaseException) as error:
            if len(jobs) == 1:
                raise
            mistakes[f"job {number} ({own})"] = str(error) if isinstance(error, ZoomIQAError) else one_line(error)
            continue
        if subdir in place:
            raise ConfigError(
                f"the jobs with {place[subdir]} and with {own} would have one folder, {subdir}; "
                "add 'hydra.sweep.subdir=${hydra.job.num}', and each has its own"
            )
        place[subdir] = own
    if mistakes:
        raise ConfigError(_told(mistakes, len(jobs)))


def _told(mistakes: Mapping[str, str], jobs: int) -> str:
    """The mistake that all jobs share, or that of the first and how many more have one."""
    (first, said), more = next(iter(mistakes.items())), len(mistakes) - 1
    if len(mistakes) == jobs and len(set(mistakes.values())) == 1:
        return f"each of the {jobs} jobs: {said}"
    return f"{first}{f', and {more} more' if more else ''}: {said}"


def _check_launcher(launcher: str) -> None:
    """Raise ConfigError where jobs are for SLURM and it is not here."""
    if launcher.endswith(".SlurmLauncher") and shutil.which("srun") is None:
        raise ConfigError(
            "hydra/launcher=slurm: this machine has no srun; start it on a login node of the cluster, or take "
            "hydra/launcher=joblib"
        )


@contextmanager
def _as_job(whole: DictConfig, number: int) -> Iterator[tuple[DictConfig, str]]:
    """The config that Hydra's launcher will give to a job, and the name of its folder below the multirun's."""
    with open_dict(whole):
        whole.hydra.job.id = whole.hydra.job.num = number
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(whole)
        subdir = str(OmegaConf.select(whole, "hydra.sweep.subdir"))
        with read_write(whole.hydra.runtime), open_dict(whole.hydra.runtime):
            whole.hydra.runtime.output_dir = str((Path(whole.hydra.sweep.dir) / subdir).absolute())
        HydraConfig.instance().set_config(whole)
        cfg = copy.deepcopy(whole)
        with open_dict(cfg):
            del cfg["hydra"]
            if not whole.hydra.launcher._target_.endswith(_ON_THIS_MACHINE):
                cfg.trainer.update(_ANY_MACHINE)
        yield cfg, subdir
    finally:
        HydraConfig.instance().cfg = before
