"""Weights on their way from a trainer to a shared model: a folder of safetensors that both see, and a name for them."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from zoom_iqa.base.atomic_files import whole_binary_file
from zoom_iqa.base.errors import ConfigError

_OWN_NAME = re.compile(r"[0-9]{5}\.safetensors")
FILE_BYTES = 2**30
"""Tensors share a file up to this size, so that no more of them are held twice."""


def name_of(named: Mapping[str, Tensor]) -> str:
    """A name that other weights do not have: a digest of all tensors by name, dtype and shape."""
    whole = hashlib.blake2b(digest_size=12)
    for name, weight in sorted(named.items()):
        raw = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        whole.update(f"{name} {weight.dtype} {tuple(weight.shape)} {zlib.crc32(raw.data)}\n".encode())
    return whole.hexdigest()


def shape_of(named: Mapping[str, Tensor]) -> str:
    """The same for policies of one shape: a digest of names, dtypes and shapes."""
    lines = (f"{name} {weight.dtype} {tuple(weight.shape)}\n" for name, weight in sorted(named.items()))
    return hashlib.blake2b("".join(lines).encode(), digest_size=12).hexdigest()


def write_weights(named: Mapping[str, Tensor], folder: Path) -> None:
    """Write files into a folder that is made; an OSError names the file."""
    folder.mkdir(parents=True)
    part: dict[str, Tensor] = {}
    files = size = 0
    for name, weight in named.items():
        if part and size + weight.nbytes > FILE_BYTES:
            _write(part, folder, files)
            part, size, files = {}, 0, files + 1
        part[name] = weight.detach().cpu().clone(memory_format=torch.contiguous_format)  # shares no memory
        size += weight.nbytes
    _write(part, folder, files)


def _write(part: dict[str, Tensor], folder: Path, number: int) -> None:
    with whole_binary_file(folder / f"{number:05}.safetensors") as file:
        file.write(save(part))


def require_weights(folder: Path) -> None:
    """Pass a folder as ``write_weights`` makes one, which may be taken and removed; an OSError is the system's.

    Raises:
        ConfigError: it holds something else, or nothing, or is a link.
    """
    names = [path.name for path in folder.iterdir()]
    if folder.is_symlink() or not names or not all(map(_OWN_NAME.fullmatch, names)):
        raise ConfigError(f"{folder} is no folder of weights, which holds 00000.safetensors and the like alone")
    try:
        WeightFiles(folder)
    except SafetensorError as error:
        raise ConfigError(f"{folder} holds weights that cannot be read ({error})") from error


class WeightFiles(Mapping[str, Tensor]):
    """The weights in a folder, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, Path] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                self._places |= dict.fromkeys(file.keys(), path)

    def __getitem__(self, name: str) -> Tensor:
        with safe_open(self._places[name], framework="pt") as file:
            found: Tensor = file.get_tensor(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
