"""Images from files, as a viewer would show them: RGB, upright, at most so many pixels.

Conversions: EXIF orientation is applied; CMYK, grey, palette and YCbCr become RGB; 16-bit and floating-point grey
is scaled, not clipped; transparency is laid on white; of an animation or a stack the first frame is taken. A 1 x 1
image is an image. One that cannot be shown, as of pixels that are no numbers, is an ImageError that names the file and
the reason; damaged metadata decide nothing: intact pixels are shown. Profiles of RGB images are not applied, as in the
loaders behind published results. Only ``FORMATS`` are opened: decoders of others start foreign programs (EPS) or take
any bytes for an image.
"""

from __future__ import annotations

import io
import stat
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from zoom_iqa.base.errors import ImageError
from zoom_iqa.base.lfs import LFS_SAID, is_lfs_pointer
from zoom_iqa.data.image_paths import holds_images
from zoom_iqa.tasks.tools.crop import MAX_ASPECT, viewable

MAX_DECODED_PIXELS = 120_000_000
"""Largest image decoded whole (360 MB as RGB). A larger baseline JPEG is decoded at 1/2, 1/4 or 1/8 of its sides."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
"""By Pillow's names; a JPEG with more pictures behind the first (MPO) is a JPEG."""

warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata: they name no file, and no pixel is wrong

_WHITE = (255, 255, 255)
TIFF_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's modes of grey with more than 8 bits."""
_LIMIT_LOCK = threading.Lock()  # Pillow's limit is global: two threads would restore each other's

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    RuntimeError,  # libavif
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on damaged data."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*")


def load_image(path: str | Path, *, max_pixels: int | None, upright: bool = True) -> Image.Image:
    """The image in ``path`` as RGB with at most ``max_pixels`` pixels (None: what can be decoded), aspect ratio kept.

    ``upright`` false leaves it as it is stored, whatever EXIF says, as the released evaluation does; a TIFF is turned
    as it is decoded, there as here.

    Raises:
        ImageError: the file is missing, empty, truncated, of no known format, or too large to decode.
    """
    path = Path(path)
    if max_pixels is None:
        max_pixels = MAX_DECODED_PIXELS
    if max_pixels < 1:
        raise ImageError(f"max_pixels={max_pixels} for {path}: give at least 1")
    try:
        _check_file(path)
        try:
            return _shown(path, max_pixels, path, upright=upright)
        except DAMAGE:  # of a PNG perhaps in a comment only
            bare = _png_without_metadata(path)
            if bare is None:
                raise
            return _shown(bare, max_pixels, path, upright=upright)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: there is no such file") from error
    except PermissionError as error:
        raise ImageError(f"{path}: it may not be read by this user; give it the right to, or copy it") from error
    except IsADirectoryError as error:
        inside = "with" if holds_images(path) else "without"
        raise ImageError(f"{path}: this is a folder {inside} images; name an image") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}{_why_unidentified(path)}") from error
    except _UnshownError as error:
        raise ImageError(f"{path}: {error}") from error
    except DAMAGE as error:
        raise ImageError(f"{path}: the image cannot be decoded ({error}); fetch it again") from error


def shown_image(image: Image.Image, *, max_pixels: int | None, upright: bool = True) -> Image.Image:
    """An image that is open already, as ``load_image`` gives one of a file.

    Raises:
        ImageError: its pixels cannot be decoded.
    """
    try:
        shown = _in_rgb(image, upright=upright)
    except DAMAGE as error:
        raise ImageError(f"the image cannot be decoded ({error}); open it again, or give it as RGB") from error
    return _reduced(shown, MAX_DECODED_PIXELS if max_pixels is None else max_pixels)


def open_image(file: Path | BinaryIO) -> Image.Image:
    """Open without decoding; our own limit replaces Pillow's, which counts pixels before JPEG's reduced decoding."""
    with _LIMIT_LOCK:
        Image.init()
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
        finally:
            Image.MAX_IMAGE_PIXELS = limit


class _UnshownError(ImageError):
    """Pixels that no screen could show, of a file that is whole."""


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, ValueError) as error:  # links in a ring, or a name that no file can have
        raise ImageError(f"{path}: it leads to no file ({getattr(error, 'strerror', error)}); name one") from error
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise ImageError(f"{path}: a pipe or a device is no image; save what comes from it as a file")
    if found.st_size == 0:
        raise ImageError(f"{path}: the file is empty; fetch it again")


def _shown(file: Path | io.BytesIO, max_pixels: int, path: Path, *, upright: bool) -> Image.Image:
    # of a name Pillow maps a plain TIFF into memory, with its sides exchanged where EXIF turns it
    with file.open("rb") if isinstance(file, Path) else file as raw, open_image(raw) as opened:
        _bound_decoding(opened, max_pixels, path)
        opened.load()
        return _reduced(_in_rgb(opened, upright=upright), max_pixels)


def _why_unidentified(path: Path) -> str:
    if is_lfs_pointer(path):
        return f" {LFS_SAID}"
    with path.open("rb") as file:
        if file.read(4) in _TIFF_SIGNATURES:
            return ": a TIFF that is damaged, or has colours of 32 bits; save it with 8 or 16 bits a channel"
    return f": not an image of a known format ({', '.join(FORMATS)})"


def _png_without_metadata(path: Path) -> io.BytesIO | None:
    """A PNG with no chunks but those that make its pixels, and an intact EXIF one; None of anything else."""
    content = path.read_bytes()
    if not content.startswith(_PNG_SIGNATURE):
        return None
    kept, place = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        chunk = content[place : place + length + 12]
        intact = chunk[-4:] == struct.pack(">I", zlib.crc32(chunk[4:-4]))
        if kind[:1].isupper() or kind == b"tRNS" or (kind == b"eXIf" and intact):
            kept.append(chunk)
        place += length + 12
    return io.BytesIO(b"".join(kept))


def _bound_decoding(image: Image.Image, max_pixels: int, path: Path) -> None:
    """Let a JPEG decode at reduced size if that suffices; refuse what would not fit in memory."""
    width, height = image.size
    # The decoder keeps a progressive JPEG whole, at whatever size it is asked for.
    whole = image.format not in ("JPEG", "MPO") or "progressive" in image.info
    if not whole and width * height > max_pixels:
        scale = (max_pixels / (width * height)) ** 0.5
        image.draft(None, (max(1, int(width * scale)), max(1, int(height * scale))))
    if (width * height if whole else image.width * image.height) > MAX_DECODED_PIXELS:
        raise ImageError(
            f"{path}: {width} x {height} pixels are too many to decode whole (limit {MAX_DECODED_PIXELS:,});"
            " make the file smaller, or save it as baseline JPEG, which decodes at reduced size"
        )


def _in_rgb(image: Image.Image, *, upright: bool) -> Image.Image:
    """A loaded image as RGB of its own, without the metadata that has turned it and would turn it again."""
    turn = _turn(image) if upright else None
    rgb = _converted(image)  # first: a turned picture has lost the tags that tell its white
    shown = rgb if turn is None else rgb.transpose(turn)
    shown.info.clear()
    return shown


def _converted(image: Image.Image) -> Image.Image:
    if image.mode in DEEP_GREY:
        return _from_deep_grey(image)
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        backdrop = Image.new("RGB", rgba.size, _WHITE)
        backdrop.paste(rgba, mask=rgba.getchannel("A"))
        return backdrop
    return image.convert("RGB")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How EXIF says to turn it; None where it is upright, or EXIF cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (*DAMAGE, AttributeError):
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, scaled by its white: that of its bits, 1 of floats, or the largest number above.

    Numbers of 32 bits are mostly those of 8 or of 16, which the largest tells. A TIFF may say that 0 is white.

    Raises:
        ImageError: a pixel is NaN, infinite or below 0.
    """
    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image).astype(np.float64)
    if not (np.isfinite(values).all() and values.min(initial=0.0) >= 0):
        raise _UnshownError(
            "it has pixels that are NaN, infinite or below 0; replace them, from 0 for black to 1 for white"
        )
    brightest = float(values.max(initial=0.0))
    (bits, *_) = tags.get(TIFF_BITS, (16 if image.mode != "I" else 32,))
    if image.mode == "F":
        full = 1.0
    elif bits > 16:
        full = 255.0 if brightest <= 255 else 65_535.0
    else:
        full = 2.0**bits - 1
    grey = values / max(full, brightest)
    shown = 1 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey
    return Image.fromarray(np.rint(255 * shown).astype(np.uint8)).convert("RGB")


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Through the embedded profile where there is a usable one, else by the plain formula."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            shown = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, *DAMAGE):
            shown = None
        if shown is not None:
            return shown
    return image.convert("RGB")


def _reduced(image: Image.Image, max_pixels: int) -> Image.Image:
    width, height = image.size
    if width * height <= max_pixels:
        return image
    scale = (max_pixels / (width * height)) ** 0.5
    size = max(1, int(width * scale)), max(1, int(height * scale))
    if size[0] * size[1] > max_pixels:  # a side of a very thin image could not fall below one pixel
        size = min(size[0], max_pixels), min(size[1], max_pixels)
    if viewable(width, height):  # whole pixels must not make a thin image too thin for the vision tower
        size = min(size[0], MAX_ASPECT * size[1]), min(size[1], MAX_ASPECT * size[0])
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
