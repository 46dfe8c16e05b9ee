"""A text-guided restorer of diffusers, with weights that the user has, as an editor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from PIL.Image import Image, Resampling

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.evaluation.guiding import guidance_of
from zoom_iqa.evaluation.refinement import Edited
from zoom_iqa.tasks.guidance import CountTokens, Target


class DiffusersEditor:
    """One candidate a turn: the pipeline's answer to the prompts of the assessment, at the image's own size.

    ``seed`` fixes its noise. The weights are those of ``folder``; nothing is downloaded.

    Raises:
        ConfigError: the target is no pipeline of diffusers, diffusers is not installed, or the folder holds none.
    """

    def __init__(
        self, *, target: Target, folder: str, device: torch.device, seed: int, count: CountTokens | None
    ) -> None:
        if target.pipeline is None:
            raise ConfigError(f"--apply {folder}: this target has no pipeline of diffusers; use --apply embedded")
        try:
            import diffusers
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"--apply {folder} needs diffusers: pip install -c constraints.txt -e '.[restore]', or use "
                "--apply embedded"
            ) from error
        for library in (diffusers, transformers):
            library.utils.logging.disable_progress_bar()  # of loading, which takes seconds
        try:
            with _errors_only():
                pipeline = getattr(diffusers, target.pipeline).from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"--apply {folder}: no {target.pipeline} could be loaded from it ({reason})") from error
        pipeline.set_progress_bar_config(disable=None)  # a bar for a terminal, nothing in a log
        self._pipeline: Any = pipeline.to(device)
        self._target, self._seed, self._count = target, seed, count

    def edits(self, image: Image, assessment: Assessment) -> list[Edited]:
        """One candidate, or none where the assessment gives no prompt."""
        made = guidance_of(assessment, target=self._target, count=self._count)
        if not made.prompt.text:
            return []
        generator = torch.Generator().manual_seed(self._seed)
        result: Image = self._pipeline(image=image, generator=generator, **made.arguments()).images[0]
        if result.size != image.size:  # upscalers enlarge: compared at one size
            result = result.resize(image.size, Resampling.LANCZOS)
        return [Edited(self._target.pipeline or "", result)]


@contextmanager
def _errors_only() -> Iterator[None]:
    """No advice of transformers to install torchvision, which nothing here needs."""
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
