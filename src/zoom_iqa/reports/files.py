"""Pictures and pages as files that appear whole, or as one line that says why they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from zoom_iqa.base.atomic_files import whole_binary_file, whole_text_file
from zoom_iqa.base.errors import ConfigError, OutputError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
QUALITY = 95


def format_of(path: Path) -> str:
    """The format of a file by its suffix.

    Raises:
        ConfigError: pictures are not written under such a suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: a picture is written as one of {', '.join(FORMATS)}; name a file with such an end")
    return FORMATS[suffix]


def write_image(image: Image.Image, path: Path) -> None:
    """Write a picture.

    Raises:
        ConfigError: pictures are not written under such a suffix.
        OutputError: it cannot be written there.
    """
    kind = format_of(path)
    with told_if_unwritable(path), whole_binary_file(path) as file:
        image.save(file, kind, quality=QUALITY)


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
        raise OutputError(f"{path} cannot be written: {error.strerror}; make room or name another place") from error
