"""A run's checkpoint as a transformers folder: the policy of its config, its weights strictly, and what explains it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from zoom_iqa.base.errors import CheckpointError, ConfigError, DataError
from zoom_iqa.base.run_folder import CONFIG, RunFolder
from zoom_iqa.base.types import Example, ImageRef, Message, Sample
from zoom_iqa.config.policy_card import policy_card
from zoom_iqa.parallel.placement import Replicated
from zoom_iqa.policy.lora import plain_state_dict
from zoom_iqa.policy.policy import Policy, require_new
from zoom_iqa.policy.widening import widened
from zoom_iqa.reports.files import check_place_of_folder
from zoom_iqa.tasks.task import AsksAboutSeveral, Task
from zoom_iqa.training.checkpoints import damage_of
from zoom_iqa.training.stage import CHECKPOINT_DONE, CHECKPOINT_LAST, load_weights


def export(checkpoint: Path, out: Path, *, adapter: bool, head_width: int | None = None) -> None:
    """Write the policy of ``checkpoint`` to the folder ``out``: with ``adapter`` that alone, else merged weights.

    ``checkpoint`` is a run's folder, of which the last stage counts that has a checkpoint, or a file or a policy's
    folder in one. ``head_width`` writes the same policy with wider heads, for kernels that know certain widths only.

    Raises:
        CheckpointError: the file is damaged, or a tensor is missing, renamed, left over or of another shape.
        ConfigError: ``checkpoint`` is nothing of a run, there is no adapter to keep, or it alone shall have another
            head width.
        OutputError: ``out`` cannot be made.
        PolicyError: ``out`` exists, or heads would not become wider.
    """
    if adapter and head_width is not None:
        raise ConfigError(f"head_width={head_width} is of merged weights; leave out adapter=true")
    require_new(out)
    check_place_of_folder(out)
    run = _run_of(checkpoint)
    cfg = _kept(run / CONFIG)
    source = _last_of(run, cfg) if checkpoint.resolve() == run.resolve() else _weights(checkpoint, run)
    if adapter and source.is_dir():
        raise ConfigError(f"checkpoint={source}: adapters are merged there; name a .ckpt file of {run}/checkpoints")
    if adapter and cfg.policy.lora is None:
        raise ConfigError("there is no adapter to keep: the policy was trained whole; leave out adapter=true")
    start, figures = str(cfg.policy.path), _figures(run, cfg, source)
    files = policy_card(
        cfg,
        figures,
        dataset=_judged_on(cfg, figures),
        prompt=_first_prompt(cfg),
        config_yaml=(run / CONFIG).read_text(encoding="utf-8"),
        adapter=adapter,
    )
    if source.is_dir():
        cfg.policy.path, cfg.policy.lora = str(source), None
    policy: Policy = instantiate(cfg.policy)
    if source.is_file():
        if (damage := damage_of(source)) is not None:
            raise CheckpointError(f"{source} is damaged ({damage}); name another one of its run")
        load_weights(policy, source, Replicated())
    if adapter:
        policy.save_adapter(out, base=start, files=files)
        return
    if head_width is not None:
        policy.model = widened(policy.model, plain_state_dict(policy.model), head_width=head_width)
    policy.save(out, files=files)


def _first_prompt(cfg: DictConfig) -> tuple[Message, ...]:
    """The prompt about photographs with which the run's task begins."""
    task: Task = instantiate(cfg.task)
    count = task.images_shown if isinstance(task, AsksAboutSeveral) else 1
    example = Example(id="photo", dataset="mine", images=(ImageRef(),) * count)
    photographs = Sample.of(example, *[Image.new("RGB", (512, 384))] * count)
    request = task.open(photographs, index=0, seed=cfg.seed).next_request()
    assert request is not None, "every task begins with a question"
    return request.prompt


def _figures(run: Path, cfg: DictConfig, source: Path) -> dict[str, dict[str, Any]]:
    """Those of this policy and of the ones before it: a checkpoint on the way through a stage was not judged itself."""
    stages, found = [str(name) for name in cfg.stages], RunFolder(run).metrics()
    folders = source.resolve().relative_to(run.resolve()).parts[:-1]
    within = next((place for place, name in enumerate(stages) if name in folders), len(stages))
    judged = stages[: within + 1] if source.name == CHECKPOINT_DONE else stages[:within]
    return {name: found[name] for name in judged if name in found}


def _judged_on(cfg: DictConfig, figures: Mapping[str, Mapping[str, Any]]) -> str:
    counts = sorted({int(found["n"]) for found in figures.values()})
    name = OmegaConf.select(cfg, "benchmark.name") or "the run's benchmark"
    return f"{', '.join(f'{count:,}' for count in counts)} of {name}" if counts else "none judged yet"


def _run_of(place: Path) -> Path:
    """The nearest folder that is a run's."""
    if not place.exists():
        raise ConfigError(f"checkpoint={place}: there is no such file or folder")
    found = next((folder for folder in (place, *place.resolve().parents) if (folder / CONFIG).is_file()), None)
    if found is None:
        raise ConfigError(f"checkpoint={place}: no folder above it is a run's (none has a {CONFIG})")
    return found


def _weights(place: Path, run: Path) -> Path:
    """A checkpoint or a policy's folder in a run, where it is either."""
    known = place.suffix == Path(CHECKPOINT_DONE).suffix if place.is_file() else (place / "config.json").is_file()
    if not known:
        raise ConfigError(f"checkpoint={place}: name {run}, a .ckpt file in it, or a policy's folder there")
    return place


def _kept(path: Path) -> DictConfig:
    """A run's config, its interpolations of ``machine`` resolved."""
    try:
        cfg = OmegaConf.load(path)
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({' '.join(str(error).split())}); it is no run's config") from error
    if not isinstance(cfg, DictConfig) or not {"policy", "stages", "task"} <= set(cfg):
        raise DataError(f"{path} is no config of a training run; name a folder of zoom_iqa.train")
    OmegaConf.resolve(cfg)
    return cfg


def _last_of(run: Path, cfg: DictConfig) -> Path:
    """The checkpoint furthest on: of the last stage that has one, its end before the way there."""
    for stage in reversed(list(cfg.stages)):
        for name in (CHECKPOINT_DONE, CHECKPOINT_LAST):
            path = RunFolder(run).checkpoints(str(stage)) / name
            if path.exists():
                return path
    if RunFolder(run).policy.is_dir():
        return RunFolder(run).policy
    raise ConfigError(f"checkpoint={run}: the run has no checkpoint yet")
