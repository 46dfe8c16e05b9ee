"""The assessor of a policy's name, with every other value from conf/assess.yaml."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from zoom_iqa.base.errors import ConfigError, PolicyError, ZoomIQAError
from zoom_iqa.base.ranges import require_answers
from zoom_iqa.config.checks import check_config, check_read, hint
from zoom_iqa.config.command_line import search_in, with_policy
from zoom_iqa.config.composition import composed
from zoom_iqa.config.go_on import quoted
from zoom_iqa.config.help import OF_PAIRS, choices, rating_tasks
from zoom_iqa.config.machine import check_machine
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shipped import shipped_policy_folder

_NAMES = {
    "policy.path=": "policy=",
    "machine.evaluation_batch_size=": "batch_size=",
    "machine.workers=": "workers=",
    "--config-dir=": "config_dir=",
    "prompts=official": "protocol=released",
    "prompts=full": "protocol=strict",
}
"""Values of the config in errors, and the arguments here that set them."""
READ_HERE = ("machine", "size", "device", "policy", "assessor", "stop_strings")


class Assessor(ImageAssessor):
    """Rates images: ``Assessor("FOLDER_OR_HUB_ID").assess("photo.jpg").rating``.

    ``policy`` is any Qwen2.5-VL, a folder or a hub id; None takes the small one shipped with the package. ``samples``
    answers are given for each image: one is the likeliest, several are drawn as the protocol says and their mean
    counts. ``task`` and ``protocol`` are names of conf/task and conf/protocol, and ``config_dir`` is a folder of your
    own beside conf/, with task/NAME.yaml and the like. ``device`` is auto, cpu, cuda or cuda:N; ``batch_size``
    images are judged at a time, and ``workers`` processes load others meanwhile. What is None is as conf/assess.yaml
    says.

    Raises:
        ConfigError: a value cannot be.
        PolicyError: there is no policy of this name, or a file of it is missing or damaged.
    """

    def __init__(
        self,
        policy: str | os.PathLike[str] | None = None,
        *,
        samples: int | None = None,
        task: str | None = None,
        protocol: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        config_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        own = None if config_dir is None else os.fspath(config_dir)
        if samples is not None:
            require_answers("samples", samples, note="it counts answers an image")
        given = {
            "policy.path": None if policy is None else quoted(_named_policy(str(policy))),
            "samples": samples,
            "sampling": "protocol" if samples is not None and samples > 1 else None,
            "task": _task(task, own),
            "protocol": _choice("protocol", protocol, _names("protocol", own)),
            "device": device,
            "machine.evaluation_batch_size": batch_size,
            "machine.workers": workers,
        }
        with _named_as_arguments():
            overrides = [] if own is None else [search_in(own)]
            cfg = assessor_config(overrides + [f"{key}={value}" for key, value in given.items() if value is not None])
            device_named = _device(cfg.device)
            parts = instantiate(cfg.assessor)
            made: Policy = instantiate(cfg.policy)
        made.model.to(device_named)
        self.is_shipped = str(cfg.policy.path) == str(shipped_policy_folder())
        super().__init__(policy=made, **parts.keywords)


def assessor_config(overrides: Sequence[str]) -> DictConfig:
    """conf/assess.yaml, checked and resolved.

    Raises:
        ConfigError: a key or a value is wrong.
    """
    transformers.utils.logging.disable_progress_bar()
    try:
        cfg = composed("assess", with_policy("assess", overrides))
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    check_machine(cfg.machine)
    check_config(cfg)
    check_read(cfg, read=READ_HERE)
    OmegaConf.resolve(cfg)
    return cfg


@contextmanager
def _named_as_arguments() -> Iterator[None]:
    """Within the block an error names arguments of Assessor where it named values of the config."""
    try:
        yield
    except HydraException as error:
        if not isinstance(error.__cause__, ZoomIQAError):
            raise
        raise _renamed(error.__cause__) from error
    except ZoomIQAError as error:
        raise _renamed(error) from error


def _renamed(error: ZoomIQAError) -> ZoomIQAError:
    message = str(error)
    for key, argument in _NAMES.items():
        message = message.replace(key, argument)
    return type(error)(message) if isinstance(error, ConfigError | PolicyError) else error


def _named_policy(name: str) -> str:
    if not name:
        raise ConfigError("policy= is empty, as an unset variable is; name a folder or a hub id")
    if "${" in name:
        raise ConfigError(f"policy={name}: configs read ${{...}} as a reference; give the name without")
    return name


def _task(name: str | None, own: str | None) -> str | None:
    if name == OF_PAIRS:
        raise ConfigError(
            f"task={name} asks about two images, as zoom_iqa.evaluate does; for one give {rating_tasks()}"
        )
    return _choice("task", name, [one for one in _names("task", own) if one != OF_PAIRS])


def _names(group: str, own: str | None) -> list[str]:
    """The choices of a group in conf/, then those of a folder of one's own."""
    added = () if own is None else sorted(path.stem for path in (Path(own) / group).glob("*.yaml"))
    return list(dict.fromkeys([*choices(group).split(), *added]))


def _choice(group: str, name: str | None, names: Sequence[str]) -> str | None:
    if name is not None and name not in names:
        raise ConfigError(f"{group}={name}: there is no such choice{hint(name, names)}")
    return name


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name}: there is no such device; give auto, cpu, cuda or cuda:N") from error
    try:
        torch.empty(0, device=device).cpu()  # of a device without memory nothing comes back
    except (RuntimeError, AssertionError, ValueError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device={name} cannot be used here ({reason}); use device=cpu or device=auto") from error
    return device
