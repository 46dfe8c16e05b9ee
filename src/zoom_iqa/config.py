"""Where the configuration lies, and the checks that turn a typo into one line before anything is built."""

from __future__ import annotations

import difflib
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoom_iqa.errors import ConfigError, ZoomIQAError
from zoom_iqa.policy.tiny import tiny_policy_folder

OmegaConf.register_new_resolver("product", lambda *factors: math.prod(int(factor) for factor in factors), replace=True)
OmegaConf.register_new_resolver("shipped_policy", lambda: str(tiny_policy_folder()), replace=True)

HYDRA_KEYS = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


def conf_dir() -> Path:
    """The configuration folder: inside an installed package, or beside ``src`` in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def check_config(cfg: DictConfig) -> None:
    """Raise ConfigError for the first missing value, unknown target, or key its target does not take."""
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ConfigError(
            f"{missing[0]} has no value; set {missing[0]}=... ({len(missing)} missing: {', '.join(missing)})"
        )
    for path, node in _targets(cfg, ""):
        _check_target(path, node)


def _targets(node: Any, path: str) -> Iterator[tuple[str, DictConfig]]:
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield path, node
        for key in map(str, node):
            yield from _targets(node[key], f"{path}.{key}" if path else key)
    elif isinstance(node, ListConfig):
        for index, item in enumerate(node):
            yield from _targets(item, f"{path}[{index}]")


def _check_target(path: str, node: DictConfig) -> None:
    try:
        target = get_object(node["_target_"])
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path}._target_={node['_target_']}: not found ({error})".splitlines()[0]) from error
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # some C extensions have no signature; instantiation will tell
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    given = {str(key) for key in node} - HYDRA_KEYS
    for key in sorted(given - parameters.keys()):
        valid = sorted(parameters)
        close = difflib.get_close_matches(key, valid, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"{path}.{key}: {node['_target_']} takes no such key{hint} Valid: {', '.join(valid)}")
    if node.get("_partial_"):
        return
    required = {
        n for n, p in parameters.items() if p.default is p.empty and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    }
    absent = sorted(required - given)
    if absent and not node.get("_args_"):
        raise ConfigError(f"{path}: {node['_target_']} needs {', '.join(absent)}; add to the YAML or the command line")


def one_line(error: Exception) -> str:
    """The message of a configuration error without Hydra's advice lines, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    keep = [
        line for line in lines if not line.startswith(("full_key:", "object_type=", "Set the environment", "provider="))
    ]
    keep = [line for line in keep if line != "Config search path:"]
    return " ".join(keep)


def run_command(command: Callable[[], None]) -> None:
    """Run an entry point; a configuration that does not compose is one line on stderr and exit status 2."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let errors reach us instead of being printed by Hydra
    with expected_errors():
        command()


@contextmanager
def expected_errors() -> Iterator[None]:
    """Turn errors made on purpose into one line on stderr and exit status 2; others keep their traceback."""
    try:
        yield
    except ZoomIQAError as error:
        sys.exit(_report(str(error)))
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__
        sys.exit(_report(str(cause) if isinstance(cause, ZoomIQAError) else one_line(error)))


def _report(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
