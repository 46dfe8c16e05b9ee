"""The origin of a run: the command, the version of the code, and those of the packages it stands on."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

DISTRIBUTION = "zoom-iqa"
_ROOT = Path(__file__).resolve().parents[1]


def provenance(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """JSON-safe facts about a run of ``python -m MODULE ARGUMENTS``; ``commit`` is None outside a git checkout."""
    return {
        "command": f"python -m {module} {shlex.join(arguments)}".rstrip(),
        "working_directory": os.getcwd(),
        "version": _version(DISTRIBUTION),
        "commit": commit(_ROOT),
        "python": platform.python_version(),
        "packages": _packages(),
    }


def commit(package: Path) -> str | None:
    """The commit of the checkout that tracks ``package``, with ``+changes`` where its tracked files differ from it."""
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # no checkout, or that of a project in which this package is installed
    found = _git(package, "rev-parse", "HEAD")
    return f"{found}+changes" if _git(package, "status", "--porcelain", "--untracked-files=no") else found


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        ended = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _packages() -> dict[str, str]:
    """Versions of the packages that this one asks for, extras left out."""
    try:
        asked = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    names = [re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0] for line in asked if "extra ==" not in line]
    versions = {name: _version(name) for name in sorted(names)}
    return {name: version for name, version in versions.items() if version is not None}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
