"""Pictures and pages as files that appear whole, or as one line that says why they cannot."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import IO, Any

from PIL import Image

from zoom_iqa.base.atomic_files import whole_binary_file, whole_text_file
from zoom_iqa.base.errors import ConfigError, OutputError
from zoom_iqa.data.images import open_image
from zoom_iqa.data.metadata import format_in

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
PAGES = (".html", ".htm")
LARGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
QUALITY = 95
LOSSY = ("JPEG", "WEBP")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def format_of(path: Path) -> str:
    """The format of a file by its suffix.

    Raises:
        ConfigError: pictures are not written under such a suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: a picture is written as one of {', '.join(FORMATS)}; name a file with such an end")
    return FORMATS[suffix]


def numbered(stem: str) -> Iterator[str]:
    """``stem``, then ``stem-2``, ``stem-3`` ...: names for files of which several may want one."""
    return chain([stem], (f"{stem}-{number}" for number in count(2)))


def check_place(path: Path) -> None:
    """Pass a name that a file can have, before the work that fills it.

    Raises:
        OutputError: it is a folder's, or there is no folder to put it in, or nothing may be put there.
    """
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder; name a file")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}; make it or name another place")
    check_folder(path.absolute().parent)


def check_place_of_folder(folder: Path) -> None:
    """Pass a folder that is there and takes files, or that can be made, before the work that fills it.

    Raises:
        OutputError: it is a file, or lies in one, or where nothing may be put.
    """
    whole = folder.absolute()
    there = next(place for place in (whole, *whole.parents) if os.path.exists(place))
    if not there.is_dir():
        raise OutputError(f"{folder} cannot be made: {there} is a file; name another place")
    check_folder(there)


def check_folder(folder: Path) -> None:
    """Pass a folder that files may be put into.

    Raises:
        OutputError: they may not.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} takes no files: Permission denied; name another place")


def check_page(path: Path) -> None:
    """Pass a name that a page of HTML can have, before the work that fills it.

    Raises:
        ConfigError: it has another end: a page would take the place of a file of another kind.
        OutputError: as ``check_place``.
    """
    check_place(path)
    if path.suffix.lower() not in PAGES:
        raise ConfigError(f"{path}: a page is written as one of {', '.join(PAGES)}; name a file with such an end")


def check_size(width: int, height: int, path: Path) -> None:
    """Pass a picture that the format of its file can hold.

    Raises:
        ConfigError: pictures are not written under such a suffix.
        OutputError: a side is too long.
    """
    kind = format_of(path)
    most = LARGEST_SIDE.get(kind)
    if most is not None and max(width, height) > most:
        raise OutputError(
            f"{path} cannot be written: of {width} x {height} pixels a side is longer than the {most:,} of {kind}; "
            f"name {path.with_suffix('.png').name}"
        )


def write_image(image: Image.Image, path: Path, *, profile: bytes | None = None, exif: bytes | None = None) -> None:
    """Write a picture, with the colour profile that its numbers are meant in and its EXIF.

    Raises:
        ConfigError: pictures are not written under such a suffix.
        OutputError: it cannot be written there, or is too large for its format.
    """
    check_size(*image.size, path)
    with told_if_unwritable(path), whole_binary_file(path) as file:
        _encode(image, file, format_of(path), profile=profile, exif=exif)


def as_saved(image: Image.Image, path: Path) -> Image.Image:
    """The pixels that ``load_image`` will find in a file that ``write_image`` makes of an RGB image.

    Raises:
        ConfigError: pictures are not written under such a suffix.
    """
    kind = format_of(path)
    if kind not in LOSSY:
        return image
    file = io.BytesIO()
    _encode(image, file, kind, profile=None, exif=None)
    with open_image(file) as opened:
        return opened.convert("RGB")


def _encode(image: Image.Image, file: IO[bytes], kind: str, *, profile: bytes | None, exif: bytes | None) -> None:
    options: dict[str, Any] = {"quality": QUALITY, "icc_profile": profile}
    if exif is not None:
        options["exif"] = exif
    image.save(file, kind, **options)


def copy_image(source: Path, path: Path) -> bool:
    """Copy a picture, every byte of it, if its format is that of the new name; whether it is.

    Raises:
        OutputError: it cannot be written there.
    """
    if format_in(source) != format_of(path):
        return False
    with told_if_unwritable(path), source.open("rb") as old, whole_binary_file(path) as new:
        shutil.copyfileobj(old, new)
    return True


def write_page(text: str, path: Path) -> None:
    """Write a page of HTML.

    Raises:
        OutputError: it cannot be written there.
    """
    with told_if_unwritable(path), whole_text_file(path) as file:
        file.write(text)


@contextmanager
def told_if_unwritable(path: Path) -> Iterator[None]:
    """Within the block a failure of the system is one line about ``path``.

    Raises:
        OutputError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        remedy = "make room or name another place" if error.errno in _NO_ROOM else "name another place"
        raise OutputError(f"{path} cannot be written: {error.strerror}; {remedy}") from error
