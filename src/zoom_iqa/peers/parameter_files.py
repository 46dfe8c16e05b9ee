"""Finds the parameter files that other packages bring, without importing those packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from zoom_iqa.base.errors import ConfigError


def file_of_package(package: str, path: str, *, peer: str) -> Path:
    """The file at ``path`` inside an installed package; its code, which may not run here, is not loaded.

    Raises:
        ConfigError: the package is not installed or has no such file.
    """
    found = importlib.util.find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    if not folders:
        raise ConfigError(f"peer={peer}: {package} is not installed; pip install -c constraints.txt -e '.[peers]'")
    file = Path(folders[0]) / path
    if not file.is_file():
        raise ConfigError(f"peer={peer}: {file} does not exist; install the release that constraints.txt names")
    return file
