"""The images that a finished run has judged, made again from its config.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from PIL.Image import Image

from zoom_iqa.base.errors import DataError, ImageError, ZoomIQAError
from zoom_iqa.base.run_folder import RunFolder
from zoom_iqa.config.evaluated_images import evaluated_images
from zoom_iqa.data.datasets import ImageDataset


def judged_images(config: Path) -> dict[str, Callable[[], Image | None]]:
    """Loaders of the pixels of each image that a run has judged, by data set and id as in ``Example.name``.

    Relative paths are of the folder in which the run was started, where that is kept and still there. A loader returns
    None for a file that cannot be read any more.

    Raises:
        DataError: the config does not say which images, or they are not on this machine.
    """
    loaders: dict[str, Callable[[], Image | None]] = {}
    place = Path(RunFolder(config.parent).origin().get("working_directory", "."))
    place = place if place.is_dir() else Path()
    try:
        with chdir(place):
            for dataset in _datasets(OmegaConf.load(config.absolute())):
                for index, item in enumerate(dataset.items()):
                    loaders.setdefault(item.name, _loader(dataset, index, place))
    except (ZoomIQAError, HydraException, OmegaConfBaseException, OSError) as error:
        raise DataError(f"its images cannot be found again: {' '.join(str(error).split())}") from error
    return loaders


def _datasets(cfg: Any) -> Iterator[ImageDataset]:
    if not isinstance(cfg, DictConfig):
        raise DataError("config.yaml holds no keys")
    if "stages" in cfg:
        yield instantiate(cfg.evaluator.dataset)
        return
    for node in cfg.benchmarks.values():
        yield evaluated_images(instantiate(node), cfg)


def _loader(dataset: ImageDataset, index: int, place: Path) -> Callable[[], Image | None]:
    def load() -> Image | None:
        try:
            with chdir(place):
                return dataset[index].image
        except ImageError:
            return None

    return load
