"""What an image file says beside its pixels: format, colour profile, maker, and the data of its camera.

Damaged metadata say nothing, as in ``zoom_iqa.data.images``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image

from zoom_iqa.data.images import DAMAGE, DEEP_GREY, TIFF_BITS, open_image

OVERLAY = "zoom-iqa overlay"
"""The maker of pictures that ``zoom-iqa assess --overlay`` draws."""

_BASE = ExifTags.Base
_FOLDERS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_OF_THE_PHOTOGRAPH = (
    _BASE.ImageDescription,
    _BASE.Make,
    _BASE.Model,
    _BASE.Software,
    _BASE.DateTime,
    _BASE.Artist,
    _BASE.Copyright,
    _BASE.XResolution,
    _BASE.YResolution,
    _BASE.ResolutionUnit,
)
# A maker's note holds places within the file that it was written for; the sizes are those of the old pixels.
_OF_THE_FILE = (_BASE.MakerNote, _BASE.ExifImageWidth, _BASE.ExifImageHeight, _BASE.ExifInteroperabilityOffset)
_PNG_BITS = 24  # the place of the byte
_MOST_OF_JPEG = 65_533  # bytes that one segment can hold


def format_in(path: str | Path) -> str | None:
    """The format of a picture, whatever its name; None where there is no picture."""
    try:
        with open_image(Path(path)) as opened:
            return "JPEG" if opened.format == "MPO" else opened.format  # one with more pictures behind it
    except DAMAGE:
        return None


def bits_a_channel(path: str | Path) -> int:
    """Bits of a pixel's channel; 8 where the file does not say that they are more."""
    try:
        with open_image(Path(path)) as opened:
            tags = getattr(opened, "tag_v2", {})
            if TIFF_BITS in tags:
                return int(max(tags[TIFF_BITS]))
            if opened.format == "PNG":
                with Path(path).open("rb") as file:
                    return file.read(_PNG_BITS + 1)[_PNG_BITS]
            return 16 if opened.mode in DEEP_GREY else 8
    except (*DAMAGE, AttributeError):
        return 8


def colour_profile(path: str | Path) -> bytes | None:
    """The profile that an RGB image's numbers are meant in, for files made of what ``load_image`` gives of it."""
    try:
        with open_image(Path(path)) as opened:
            profile = opened.info.get("icc_profile")
            return profile if opened.mode in ("RGB", "RGBA", "P") and isinstance(profile, bytes) and profile else None
    except DAMAGE:  # of metadata, or what is shown would not be
        return None


def photograph_exif(path: str | Path) -> bytes | None:
    """EXIF for files made of what ``load_image`` gives of a photograph: when, where and with which camera it was taken.

    Without what holds of the old file alone: how it is turned (the pixels are upright now), its sizes, its thumbnail
    and the maker's note. None where there is none, it is damaged, or it is larger than a JPEG can hold.
    """
    try:
        with open_image(Path(path)) as opened:
            old, new = opened.getexif(), Image.Exif()
            new.update({tag: old[tag] for tag in _OF_THE_PHOTOGRAPH if tag in old})
            for folder in _FOLDERS:
                kept = {tag: value for tag, value in old.get_ifd(folder).items() if tag not in _OF_THE_FILE}
                if kept:
                    new[folder] = kept
            written = new.tobytes() if len(new) else None
    except (*DAMAGE, AttributeError):
        return None
    return written if written is not None and len(written) <= _MOST_OF_JPEG else None


def exif_of(*, software: str) -> bytes:
    """EXIF that names what has made a picture."""
    exif = Image.Exif()
    exif[_BASE.Software] = software
    return exif.tobytes()


def is_overlay(path: str) -> bool:
    """Whether a file is a picture that ``--overlay`` drew, which shows a photograph and is none."""
    return path.lower().endswith(".png") and made_by(path) == OVERLAY


def made_by(path: str | Path) -> str | None:
    """The software that a picture names as its maker; None where there is no picture, or it does not say."""
    try:
        with open_image(Path(path)) as opened:
            return str(opened.getexif().get(_BASE.Software, "")) or None
    except (*DAMAGE, AttributeError):
        return None
