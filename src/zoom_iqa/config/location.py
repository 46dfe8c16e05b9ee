"""The place of the configuration, and the resolvers its files use."""

from __future__ import annotations

import math
from pathlib import Path

from omegaconf import OmegaConf

import zoom_iqa
from zoom_iqa.policy.shipped import shipped_policy_folder

OmegaConf.register_new_resolver("product", lambda *factors: math.prod(int(factor) for factor in factors), replace=True)
OmegaConf.register_new_resolver("where", lambda given, there, else_: else_ if given is None else there, replace=True)
OmegaConf.register_new_resolver("shipped_policy", lambda: str(shipped_policy_folder()), replace=True)
OmegaConf.register_new_resolver("stem_of", lambda path: Path(path).stem, replace=True)
OmegaConf.register_new_resolver("absolute", lambda path: str(Path(path).absolute()), replace=True)
OmegaConf.register_new_resolver("folder_of", lambda path: str(Path(path).parent), replace=True)


def conf_dir() -> Path:
    """The configuration folder: inside an installed package, or beside ``src`` in a checkout."""
    package = Path(zoom_iqa.__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"
