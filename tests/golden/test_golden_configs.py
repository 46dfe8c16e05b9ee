"""The resolved config of every experiment, kept as a file: what a change of any default changes is seen in review.

After a change made on purpose: ``python -m pytest tests/golden --update-golden``.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import zoom_iqa
from zoom_iqa.config.location import conf_dir
from zoom_iqa.train import _check

FOLDER = Path(__file__).parent / "configs"
PACKAGE = str(Path(zoom_iqa.__file__).parent)
EXPERIMENTS = sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml"))


def resolved(experiment: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The whole config as text, without what belongs to a machine or a moment."""
    monkeypatch.delenv("ZOOM_IQA_DATA", raising=False)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", overrides=[f"+experiment={experiment}", "paths.run_dir=RUN"])
    _check(cfg)
    return OmegaConf.to_yaml(cfg, resolve=True).replace(PACKAGE, "PACKAGE")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_resolved_config(experiment: str, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    path, found = FOLDER / f"{experiment}.yaml", resolved(experiment, monkeypatch)
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
