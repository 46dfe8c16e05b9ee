"""What is said of a policy that cannot be loaded, before a weight is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from zoom_iqa.base.errors import ConfigError, PolicyError
from zoom_iqa.policy.loading import load_policy
from zoom_iqa.policy.shipped import shipped_policy_folder


def load(**changed: Any) -> None:
    settings: dict[str, Any] = {
        "path": str(shipped_policy_folder()),
        "dtype": "float32",
        "attention": "sdpa",
        "min_pixels": None,
        "max_pixels": None,
        "image_cache": 8,
        "lora": None,
        "gradient_checkpointing": False,
    }
    load_policy(**{**settings, **changed})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the hub, which gives nothing here, was asked for."""
    names: list[str] = []

    def download(name: str) -> str:
        names.append(name)
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return names


@pytest.mark.parametrize("path", ["/nope", "./nope", "../nope", "nope", "runs/a/policy", "owner/name/", "~/policy"])
def test_a_folder_that_is_not_there_is_no_hub_id(path: str, asked: list[str]) -> None:
    with pytest.raises(PolicyError) as error:
        load(path=path)
    assert str(error.value).startswith(f"policy.path={path}: there is no such folder; give one that holds config.json")
    assert "hf download" not in str(error.value)
    assert not asked


def test_an_empty_name_is_not_the_working_folder(asked: list[str]) -> None:
    with pytest.raises(PolicyError, match=r"^policy\.path= is empty, as an unset variable is; name a folder"):
        load(path="")
    assert not asked


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-VL-7B-Instruct", "owner/my_model-1.0"])
def test_a_name_of_the_hub_is_asked_for_there(name: str, asked: list[str]) -> None:
    with pytest.raises(PolicyError, match=f"policy.path={name}: neither .* `hf download {name} --local-dir FOLDER`"):
        load(path=name)
    assert asked == [name]


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"no config.json; it must hold config.json, the weights"):
        load(path=str(tmp_path))


@pytest.mark.parametrize("kept", [0, -3])
def test_an_image_cache_that_keeps_nothing_is_refused_first(kept: int, asked: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"policy.image_cache={kept} must be a whole number of at least 1"):
        load(path="owner/name", image_cache=kept)
    assert not asked


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"attention": "flash"}, r"policy.attention=flash: choose one of sdpa, eager, flash_attention_2"),
        ({"min_pixels": 0}, r"policy.min_pixels=0 must be a whole number of at least 1"),
        ({"max_pixels": -5}, r"policy.max_pixels=-5 must be a whole number of at least 1"),
    ],
)
def test_values_that_no_policy_takes_are_refused_first(setting: dict[str, Any], message: str, asked: list[str]) -> None:
    with pytest.raises(ConfigError, match=message):
        load(path="owner/name", **setting)
    assert not asked


def test_flash_attention_that_is_not_installed_is_refused_with_the_remedy(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoom_iqa.policy.loading.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs flash-attn: pip install .*, or use policy.attention=sdpa"):
        load(path="owner/name", attention="flash_attention_2")
    assert not asked
