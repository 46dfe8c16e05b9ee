"""Photographs under free licences, taken from Debian's packages: more than the package ships, for making the policy.

``assets/photographs/COLLECTION.csv`` names every photograph: its role (make or judge), author, licence, the package and
its digest, and the file inside with its own. Packages are downloaded by apt-get, opened by dpkg-deb, never installed.
``python -m zoom_iqa.tiny_policy.collection FOLDER`` fetches all of them and names each package and its licences.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from PIL import Image

from zoom_iqa.base.errors import DataError, ZoomIQAError
from zoom_iqa.base.progress import ProgressLine
from zoom_iqa.data.embedded.photographs import FOLDER, photographs

LONGEST_SHORT_SIDE = 768
QUALITY = 90


@dataclass(frozen=True)
class Photograph:
    """A row of the table. ``member`` is a path inside the package; ``path@offset`` a picture inside a resource file."""

    name: str
    role: str
    author: str
    licence: str
    package: str
    version: str
    package_sha256: str
    member: str
    sha256: str


def table() -> list[Photograph]:
    """Every photograph, those of one package together."""
    text = (files("zoom_iqa") / "assets" / "photographs" / "COLLECTION.csv").read_text(encoding="utf-8")
    return sorted((Photograph(**row) for row in csv.DictReader(text.splitlines())), key=lambda one: one.package)


def collect(folder: Path, wanted: Sequence[Photograph]) -> None:
    """Write ``folder``/ROLE/NAME.jpg for every photograph; those that are there are not fetched again.

    The package's own training photographs, which the table does not hold in a larger size, are copied to ``make``.

    Raises:
        DataError: a package or a file in it is not the one that the table names, or apt-get cannot have it.
    """
    missing = [one for one in wanted if not _place(folder, one).exists()]
    with ProgressLine("photographs", total=len(wanted)) as progress:
        progress.advance(len(wanted) - len(missing))
        for _, of_package in groupby(missing, key=lambda one: one.package):
            group = list(of_package)
            archive = _package(folder / "packages", group[0])
            for photograph, content in zip(group, _members(archive, group), strict=True):
                _write(_place(folder, photograph), content)
                progress.advance()
    tabled = {one.name for one in wanted}
    for name, split in photographs().items():
        if split == "train" and name not in tabled:
            shutil.copyfile(FOLDER / f"{name}.jpg", folder / "make" / f"{name}.jpg")


def _place(folder: Path, photograph: Photograph) -> Path:
    return folder / photograph.role / f"{photograph.name}.jpg"


def _package(folder: Path, photograph: Photograph) -> Path:
    """The package's file, downloaded unless it is there, its digest verified."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"{photograph.package}={photograph.version}"
    found = list(folder.glob(f"{photograph.package}_*.deb"))
    if not found:
        try:
            subprocess.run(
                ["apt-get", "download", "-q", wanted], cwd=folder, check=True, capture_output=True, text=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            told = getattr(error, "stderr", None) or str(error)
            raise DataError(
                f"apt-get download {wanted} failed: {told.strip().splitlines()[-1]}; run `apt-get update` on Debian 12 "
                f"or put the package into {folder}"
            ) from error
        found = list(folder.glob(f"{photograph.package}_*.deb"))
    _verify(found[0].read_bytes(), photograph.package_sha256, str(found[0]))
    return found[0]


def _members(archive: Path, wanted: Sequence[Photograph]) -> Iterator[bytes]:
    content = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for photograph in wanted:
            path, _, offset = photograph.member.partition("@")
            opened = tar.extractfile(f"./{path}")
            if opened is None:
                raise DataError(f"{archive}: it holds no file {path}; take version {photograph.version}")
            read = opened.read()
            picture = _webp(read, int(offset)) if offset else read
            _verify(picture, photograph.sha256, f"{archive}:{photograph.member}")
            yield picture


def _webp(resource: bytes, start: int) -> bytes:
    """The WebP picture that starts there: a RIFF chunk says its own length."""
    return resource[start : start + 8 + int.from_bytes(resource[start + 4 : start + 8], "little")]


def _verify(content: bytes, digest: str, name: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise DataError(
            f"{name}: SHA-256 is {found[:12]}..., the table says {digest[:12]}...; remove it and fetch again"
        )


def _write(place: Path, content: bytes) -> None:
    """The middle of the picture, 4:3 or 3:4, reduced where it is large."""
    place.parent.mkdir(parents=True, exist_ok=True)
    picture = _middle(Image.open(io.BytesIO(content)).convert("RGB"))
    scale = LONGEST_SHORT_SIDE / min(picture.size)
    if scale < 1:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    staging = place.with_suffix(".part")
    picture.save(staging, format="JPEG", quality=QUALITY)
    staging.replace(place)


def _middle(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    aspect = 3 / 4 if height > width else 4 / 3
    across, down = (width, round(width / aspect)) if width / height < aspect else (round(height * aspect), height)
    left, top = (width - across) // 2, (height - down) // 2
    return picture.crop((left, top, left + across, top + down))


def summary(photographs: Sequence[Photograph]) -> str:
    """A line for each package: its version, how many photographs are taken from it for what, and their licences."""
    lines = []
    for package, group in groupby(sorted(photographs, key=lambda one: one.package), key=lambda one: one.package):
        of_package = list(group)
        roles = ", ".join(f"{n} to {role}" for role, n in sorted(Counter(one.role for one in of_package).items()))
        licences = "; ".join(sorted({one.licence for one in of_package}))
        lines.append(f"{package} {of_package[0].version}: {roles} ({licences})")
    return "\n".join(lines)


def main() -> None:
    """Entry point: an error made on purpose ends in one line and status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m zoom_iqa.tiny_policy.collection",
        description="Fetches the photographs that a tiny policy is made from and judged on; those there are kept.",
    )
    parser.add_argument("folder", type=Path, help="where they go: make/ and judge/, and the packages in packages/")
    asked = parser.parse_args()
    print(summary(table()))
    try:
        collect(asked.folder, table())
    except ZoomIQAError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
