"""The resolved config of every experiment: two whole ones, and of each other the values that differ from one of them.

So a change of any default shows in review, once. After one made on purpose: ``pytest tests/golden --update-golden``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import zoom_iqa
from zoom_iqa.config.location import conf_dir
from zoom_iqa.config.training_run import check

FOLDER = Path(__file__).parent / "configs"
PACKAGE = str(Path(zoom_iqa.__file__).parent)
EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))
WHOLE = ("quickstart", "grpo_full")
TINY = ("livewild_jpeg", "deepsight_quickstart")
BASES = {name: "quickstart" if name in TINY else "grpo_full" for name in EXPERIMENTS if name not in WHOLE}


def resolved(experiment: str) -> dict[str, Any]:
    """The whole config, without what belongs to a machine or a moment."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=[f"+experiment={experiment}", "paths.run_dir=RUN"])
    check(cfg)
    found: dict[str, Any] = yaml.safe_load(OmegaConf.to_yaml(cfg, resolve=True).replace(PACKAGE, "PACKAGE"))
    return found


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key; a list and an empty mapping are values."""
    if not isinstance(node, dict) or not node:
        yield path, node
        return
    for key, value in node.items():
        yield from leaves(value, f"{path}.{key}" if path else str(key))


def differing(experiment: str) -> dict[str, Any]:
    """The leaves whose values are not those of the base, and the keys of the base that are not there."""
    base, found = dict(leaves(resolved(BASES[experiment]))), dict(leaves(resolved(experiment)))
    return {
        "differs from": BASES[experiment],
        "values": {key: value for key, value in found.items() if key not in base or base[key] != value},
        "absent": [key for key in base if key not in found],
    }


def text_of(experiment: str) -> str:
    shown = resolved(experiment) if experiment in WHOLE else differing(experiment)
    return yaml.safe_dump(shown, sort_keys=False, width=110, allow_unicode=True)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_resolved_config(experiment: str, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    monkeypatch.delenv("ZOOM_IQA_DATA", raising=False)
    path, found = FOLDER / f"{experiment}.yaml", text_of(experiment)
    if pytestconfig.getoption("--update-golden"):
        path.write_text(found, encoding="utf-8")
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    changed = difflib.unified_diff(kept.splitlines(), found.splitlines(), "kept", "now", lineterm="", n=1)
    assert found == kept, "\n".join(changed)


def test_no_golden_without_an_experiment() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == EXPERIMENTS


def test_goldens_name_no_machine() -> None:
    for path in FOLDER.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert str(Path.home()) not in text
        assert PACKAGE not in text
