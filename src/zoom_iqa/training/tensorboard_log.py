"""A stage's figures, texts and pictures for TensorBoard, below the stage's folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from PIL import ImageDraw

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.base.printable import printable
from zoom_iqa.training.stage_logs import ShownTrajectory, StageFacts

FOLDER = "tensorboard"
LOOK_COLOR = "#e8590c"


@dataclass(frozen=True, kw_only=True)
class TensorBoardLogRecipe:
    """All of a log but its stage; called with that, it makes the log.

    Raises:
        ConfigError: the package is not installed.
    """

    def __post_init__(self) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ConfigError(
                "logger=tensorboard needs a package; run `pip install -c constraints.txt -e '.[tensorboard]'`"
            )

    def __call__(self, *, facts: StageFacts) -> TensorBoardLog:
        """The log of a stage."""
        return TensorBoardLog(facts=facts)


class TensorBoardLog(Logger):
    """Figures under their own names. Of a continued stage the steps made again replace those made before."""

    def __init__(self, *, facts: StageFacts) -> None:
        super().__init__()
        self._facts = facts
        self._writer: Any = None

    @property
    def name(self) -> str:
        """The name that Lightning uses."""
        return "tensorboard"

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any) -> None:
        """The run folder holds the whole config."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a point to each figure's curve."""
        assert step is not None, "figures stand at a step"
        writer = self._at(step, metrics)
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    @rank_zero_only
    def log_trajectories(self, title: str, shown: Sequence[ShownTrajectory], *, step: int) -> None:
        """Texts with ratings and rewards, and pictures with the boxes looked at."""
        writer = self._at(step)
        for number, one in enumerate(shown):
            writer.add_text(f"{title}/{number}", _text(one), step)
            writer.add_image(f"{title}/{number}", _picture(one), step, dataformats="HWC")
        writer.flush()

    @property
    def artifacts(self) -> Sequence[str]:
        """TensorBoard keeps no files."""
        return ()

    def log_files(self, kind: str, path: Any) -> None:
        """TensorBoard keeps no files."""

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _at(self, step: int, names: Collection[str] = ()) -> Any:
        """The writer; what earlier processes wrote of this and later steps counts no longer.

        Figures of a validation alone are made up for: its step is not made again, and keeps what it has.
        """
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # of an extra, and slow to import

            made_up_for = bool(names) and all(name.startswith("val/") for name in names)
            self._writer = SummaryWriter(str(self._facts.folder / FOLDER), purge_step=step + made_up_for)
        return self._writer


def _text(shown: ShownTrajectory) -> str:
    """Indented, which Markdown shows as it is."""
    record = shown.record
    rewards = ", ".join(f"{name} {value:.3f}" for name, value in record.rewards.items())
    head = f"{record.example.name}: {record.choice or f'rating {record.rating}'}, {rewards}"
    texts = "\n\n".join(step.text for step in record.steps)
    return "\n".join(f"    {printable(line)}" for line in [head, "", *texts.split("\n")])


def _picture(shown: ShownTrajectory) -> np.ndarray[Any, Any]:
    picture = shown.image.convert("RGB").copy()
    pen = ImageDraw.Draw(picture)
    for step in shown.record.steps:
        for look in step.looks:
            if look.box is not None:
                x1, y1, x2, y2 = look.box
                pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=LOOK_COLOR, width=2)
    return np.asarray(picture)
