"""Each file of a policy's folder missing, cut off, damaged or a pointer is one line that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from support.plain_policy import plain_policy
from zoom_iqa.base.errors import PolicyError
from zoom_iqa.policy.folder import PROCESSORS, check_folder, most_pixels
from zoom_iqa.policy.loading import load_image_processor
from zoom_iqa.policy.policy import Policy
from zoom_iqa.policy.shipped import shipped_policy_folder

NEEDED = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "preprocessor_config.json",
)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4926736\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_policy_folder(), tmp_path / "policy"))


def load(folder: Path) -> Policy:
    return plain_policy(folder)


def said_of(folder: Path) -> str:
    with pytest.raises(PolicyError) as raised:
        load(folder)
    message = str(raised.value)
    assert message.isprintable()
    return message


def test_the_shipped_folder_is_whole(folder: Path) -> None:
    whole = load(folder).model.state_dict()
    for optional in ("generation_config.json",):
        (folder / optional).unlink()
    without = load(folder).model.state_dict()
    assert without.keys() == whole.keys()
    assert all(without[name].equal(value) for name, value in whole.items())


SIZE = {"shortest_edge": 4096, "longest_edge": 20_000}


@pytest.mark.parametrize(
    ("single", "joint"),
    [
        ({"size": SIZE}, None),
        ({"size": {**SIZE, "longest_edge": 12_845_056}, "min_pixels": 4096, "max_pixels": 20_000}, None),
        (None, {"image_processor": {"size": SIZE}}),
        ({"size": {**SIZE, "longest_edge": 50_000}}, {"image_processor": {"size": SIZE}}),
        ({"size": SIZE}, {"processor_class": "Qwen2_5_VLProcessor"}),
    ],
)
def test_the_most_pixels_are_those_that_transformers_reads(
    folder: Path, single: dict[str, Any] | None, joint: dict[str, Any] | None
) -> None:
    usual = json.loads((folder / PROCESSORS[0]).read_text())
    del usual["size"]
    (folder / PROCESSORS[0]).unlink()
    if single is not None:
        (folder / PROCESSORS[0]).write_text(json.dumps({**usual, **single}))
    if joint is not None:
        own = (
            {**joint, "image_processor": {**usual, **joint["image_processor"]}} if "image_processor" in joint else joint
        )
        (folder / PROCESSORS[1]).write_text(json.dumps(own))
    assert most_pixels(folder) == 20_000
    loaded = load_image_processor(str(folder), min_pixels=None, max_pixels=None)
    assert loaded.size["longest_edge"] == 20_000


@pytest.mark.parametrize("file", NEEDED)
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    said = said_of(folder)
    assert said.startswith(f"policy.path={folder}: ")
    assert file in said


@pytest.mark.parametrize("file", [*NEEDED, "generation_config.json"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.95])
def test_a_file_that_is_cut_off_is_named(folder: Path, file: str, kept: float) -> None:
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: int(kept * len(content))])
    said = said_of(folder)
    assert file in said or said.startswith("chat template: ")


@pytest.mark.parametrize("file", [*NEEDED, "generation_config.json"])
def test_a_pointer_is_named_with_the_remedy(folder: Path, file: str) -> None:
    (folder / file).write_bytes(POINTER)
    assert said_of(folder) == (
        f"policy.path={folder}: {file} is a git-lfs pointer, not the file itself; fetch that with `git lfs pull`"
    )


@pytest.mark.parametrize("file", [name for name in NEEDED if name.endswith(".json")])
@pytest.mark.parametrize("content", [b"[]", b"\xff\xfe{", b"[" * 100_000, b"null"])
def test_json_of_another_kind_is_damage(folder: Path, file: str, content: bytes) -> None:
    (folder / file).write_bytes(content)
    assert f"{file} " in said_of(folder)


def shard(folder: Path) -> list[str]:
    """Divide the weights over two files, as large models are."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    places = {name: files[number % 2] for number, name in enumerate(names)}
    for file in files:
        save_file({n: weights[n] for n in names if places[n] == file}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return files


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (Path.unlink, "model-00002-of-00002.safetensors is missing"),
        (lambda path: path.write_bytes(POINTER), "model-00002-of-00002.safetensors is a git-lfs pointer"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "model-00002-of-00002.safetensors is cut off"),
    ],
)
def test_shards_are_looked_at_one_by_one(folder: Path, harm: Callable[[Path], object], said: str) -> None:
    files = shard(folder)
    load(folder)
    harm(folder / files[1])
    assert said in said_of(folder)


def test_an_index_without_places_is_damage(folder: Path) -> None:
    shard(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": 3}}')
    assert "model.safetensors.index.json is damaged (no weight_map)" in said_of(folder)


def test_weights_as_pickles_are_not_loaded(folder: Path) -> None:
    """They can run code."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "model.safetensors is missing" in said_of(folder)


def test_a_model_of_another_kind_is_named(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert "config.json is of a model of type 'llama'; a policy is of type qwen2_5_vl" in said_of(folder)


def test_a_path_one_level_too_high_is_told_where_the_policy_lies(folder: Path) -> None:
    assert said_of(folder.parent).endswith(f"; {folder} has one")


def test_a_template_in_the_tokenizers_config_will_do(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = (folder / "chat_template.jinja").read_text()
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").unlink()
    assert load(folder).tokenizer.chat_template == config["chat_template"]


def test_a_folder_that_is_not_there_holds_no_config(folder: Path) -> None:
    with pytest.raises(PolicyError, match=r"^there: the folder has no config\.json"):
        check_folder(folder / "none", name="there")


FILED, TENSOR = "model.norm.weight", "model.language_model.norm.weight"
"""A tensor's name in the file, and in the model."""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop(FILED), f"1 missing keys such as {TENSOR}"),
        (lambda state: state.update(more=torch.zeros(5)), "1 unexpected keys such as more"),
        (
            lambda state: state.update({f"{FILED}s": state.pop(FILED)}),
            f"1 missing keys such as {TENSOR}; 1 unexpected keys such as {TENSOR}s",
        ),
        (lambda state: state.update({FILED: torch.zeros(3)}), f"1 mismatched keys such as ('{TENSOR}', "),
    ],
    ids=["missing", "extra", "renamed", "reshaped"],
)
def test_a_tensor_that_does_not_fit_is_named(
    change: Callable[[dict[str, Tensor]], None], said: str, folder: Path
) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert f"policy.path={folder}: weights do not fit the model: {said}" in said_of(folder)
