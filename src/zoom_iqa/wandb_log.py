"""A stage's figures at Weights & Biases: one run a stage, which a stage that was stopped goes on with."""

from __future__ import annotations

import uuid
from pathlib import Path

from lightning.pytorch.loggers import WandbLogger

from zoom_iqa.distributed import rank


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
