"""A policy's folder looked at before transformers reads it: each file there, whole, and no pointer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from zoom_iqa.base.errors import PolicyError
from zoom_iqa.base.lfs import LFS_SAID, is_lfs_pointer

FOLDER_HOLDS = "config.json, the weights as safetensors, tokenizer files and preprocessor_config.json"
MODEL_TYPE = "qwen2_5_vl"
CONFIG, WEIGHTS, SHARDS = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
SLOW_TOKENIZER = ("vocab.json", "merges.txt")
TEMPLATE = "chat_template.jinja"
PIECES, PIECE_BYTES = 64, 4096
"""Of each file that a fingerprint is of."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
OPTIONAL = ("generation_config.json", "special_tokens_map.json", "added_tokens.json", *PROCESSORS)


def check_folder(folder: Path, *, name: str) -> None:
    """Pass a folder that holds all files of a policy, or say in one line what is wrong with which.

    ``name`` is what errors call it, such as ``policy.path=FOLDER``.

    Raises:
        PolicyError: a file is missing, cut off, damaged or a git-lfs pointer, or the model is of another kind.
    """
    _Folder(folder, name).check()


def most_pixels(folder: Path) -> int | None:
    """Of an image, as the folder's own processor bounds it in a config of either form; None where it does not.

    What stands in more than one place counts where transformers takes it from.

    Raises:
        OSError, ValueError: there is no such file, or it is damaged.
    """
    single, joint = PROCESSORS
    values = _object(folder / joint).get("image_processor") if (folder / joint).exists() else None
    if values is None:
        values = _object(folder / single)
    bound = values.get("max_pixels") or (values.get("size") or {}).get("longest_edge")
    return None if bound is None else int(bound)


def _object(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} is damaged")
    return values


def fingerprint_of_files(folder: Path) -> str | None:
    """A hash of the names, the sizes and evenly spread pieces of a folder's files; None for a hub id."""
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            for piece in range(PIECES):
                file.seek(piece * max(PIECE_BYTES, size // PIECES))
                digest.update(file.read(PIECE_BYTES))
    return digest.hexdigest()[:16]


class _Folder:
    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def check(self) -> None:
        if not self._has(CONFIG):
            raise self._wrong(f"the folder has no {CONFIG}; it must hold {FOLDER_HOLDS}{self._below()}")
        kind = self.json(CONFIG).get("model_type")
        if kind != MODEL_TYPE:
            raise self._wrong(f"{CONFIG} is of a model of type {kind!r}; a policy is of type {MODEL_TYPE}")
        self._check_weights()
        self._check_tokenizer()
        if not any(map(self._has, PROCESSORS)):
            raise self._wrong(f"{PROCESSORS[0]} is missing; the folder must hold {FOLDER_HOLDS}")
        for optional in filter(self._has, OPTIONAL):
            self.json(optional)

    def _check_weights(self) -> None:
        if self._has(WEIGHTS):
            self._check_safetensors(WEIGHTS)
            return
        if not self._has(SHARDS):
            raise self._wrong(f"{WEIGHTS} is missing; the folder must hold {FOLDER_HOLDS}")
        places = self.json(SHARDS).get("weight_map")
        if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
            raise self._wrong(f"{SHARDS} is damaged (no weight_map); copy it again")
        for shard in sorted(set(places.values())):
            self._check_safetensors(shard)

    def _check_safetensors(self, file: str) -> None:
        from safetensors import SafetensorError, safe_open

        path = self._whole(file)
        try:
            with safe_open(path, framework="pt") as weights:  # reads the header and compares it with the size
                weights.keys()
        except (SafetensorError, OSError) as error:
            raise self._wrong(f"{file} is cut off or damaged ({error}); copy it again") from None

    def _check_tokenizer(self) -> None:
        if self._has(TOKENIZER):
            self.json(TOKENIZER)
        else:
            missing = [file for file in SLOW_TOKENIZER if not self._has(file)]
            if missing:
                raise self._wrong(f"{TOKENIZER} is missing; the folder must hold {FOLDER_HOLDS}")
            vocabulary, merges = SLOW_TOKENIZER
            self.json(vocabulary)
            self._text(merges)
        if not self._has(TOKENIZER_CONFIG):
            raise self._wrong(f"{TOKENIZER_CONFIG} is missing; the folder must hold {FOLDER_HOLDS}")
        config = self.json(TOKENIZER_CONFIG)
        if self._has(TEMPLATE):
            self._text(TEMPLATE)
        elif not config.get("chat_template"):
            raise self._wrong(f"there is no chat template, neither in {TOKENIZER_CONFIG} nor as {TEMPLATE}")

    def json(self, file: str) -> dict[str, Any]:
        """The object that a file holds."""
        try:
            value = json.loads(self._text(file))
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"{file} is cut off or damaged ({error or 'nested too deep'}); copy it again") from None
        if not isinstance(value, dict):
            raise self._wrong(f"{file} is damaged (it holds no object); copy it again")
        return value

    def _text(self, file: str) -> str:
        try:
            text = self._whole(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise self._wrong(f"{file} cannot be read ({error}); copy it again") from None
        if not text.strip():
            raise self._wrong(f"{file} is empty; copy it again")
        return text

    def _whole(self, file: str) -> Path:
        path = self._folder / file
        if not path.is_file():
            raise self._wrong(f"{file} is missing; the folder must hold {FOLDER_HOLDS}")
        if is_lfs_pointer(path):
            raise self._wrong(f"{file} {LFS_SAID}")
        return path

    def _has(self, file: str) -> bool:
        return (self._folder / file).is_file()

    def _below(self) -> str:
        """The policy's folder one level deeper, if there is one: a run's folder is easily given for its policy's."""
        found = sorted(path.parent for path in self._folder.glob(f"*/{CONFIG}"))
        return f"; {found[0]} has one" if found else ""

    def _wrong(self, what: str) -> PolicyError:
        return PolicyError(f"{self._name}: {what}")
