"""A stage's figures at Weights & Biases: one run a stage, which a stage that was stopped goes on with."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import wandb
from lightning.pytorch.loggers import WandbLogger

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.parallel.processes import rank


@dataclass(frozen=True, kw_only=True)
class WandbLogRecipe:
    """All of a log but its folder; called with one, it makes the log. Without a login it is refused at once.

    In a terminal W&B asks for the login, here rather than when a policy is loaded and a stage begins.

    Raises:
        ConfigError: figures would be sent and nobody is logged in.
    """

    project: str
    name: str
    offline: bool

    def __post_init__(self) -> None:
        if self.offline or os.environ.get("WANDB_MODE", "online") != "online" or rank() != 0:
            return  # nothing is sent from here
        try:
            wandb.login(verify=False)
        except wandb.errors.Error as error:
            raise ConfigError(
                "logger.wandb: nobody is logged in; run `wandb login`, or set WANDB_MODE=offline to send nothing "
                f"({error})"
            ) from error

    def __call__(self, *, save_dir: str) -> WandbLog:
        """The log of the stage that ``save_dir`` is named after."""
        return WandbLog(save_dir=save_dir, project=self.project, name=self.name, offline=self.offline)


class WandbLog(WandbLogger):
    """Run ``<name>-<stage>`` of the group ``<name>``; ``save_dir`` is named after the stage and keeps the run's id.

    WANDB_MODE=offline keeps everything on this machine until ``wandb sync``.
    """

    def __init__(self, *, save_dir: str, project: str, name: str, offline: bool) -> None:
        folder = Path(save_dir)
        super().__init__(
            save_dir=folder,
            project=project,
            name=f"{name}-{folder.name}",
            group=name,
            id=_kept_id(folder) if rank() == 0 else None,
            offline=offline,
        )

    def finalize(self, status: str) -> None:
        """End the run with the stage: the next one would go on in it."""
        super().finalize(status)
        if rank() == 0 and self._experiment is not None:
            self._experiment.finish(exit_code=int(status != "success"))
            self._experiment = None


def _kept_id(folder: Path) -> str:
    path = folder / "wandb_id"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
    return path.read_text(encoding="utf-8")
