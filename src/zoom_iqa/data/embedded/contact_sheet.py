"""A contact sheet of the embedded set: every type and level of distortion with its score, and some regions.

python -m zoom_iqa.data.embedded.contact_sheet --output sheet.png
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from zoom_iqa.data.distortions import DISTORTIONS, Distortion, distort
from zoom_iqa.data.embedded.images import LOCAL_LEVELS, LOCAL_NUMBERS
from zoom_iqa.data.embedded.kadid_means import PRISTINE_MOS, global_mos, region_mos
from zoom_iqa.data.embedded.photographs import load_photograph, photographs
from zoom_iqa.data.embedded.region import choose_region, distort_region

LEVELS = (1, 2, 3, 4, 5)
NUMBERS = range(1, 26)  # KADID-10k's, of the types
GAP, CAPTION = 6, 22
REGION_EXTENT = (0.45, 0.45)  # 20 % of the area

Cell = tuple[Image.Image, str]


def contact_sheet(*, names: Sequence[str], kinds: Sequence[Distortion], tile_width: int, crop: float) -> Image.Image:
    """Rows of tiles: five pristine, each of ``kinds`` all over at five levels, each that regions take at their levels.

    The photographs ``names`` take turns by row. A tile is ``tile_width`` pixels wide and shows the middle ``crop`` (a
    fraction of each side) of the image: 1 for all of it, less to look closely. Captions:
    number, name, level (r: in a region), score.
    """
    first = load_photograph(names[0])
    rows: list[list[Cell]] = [
        [(Image.fromarray(load_photograph(name)), f"pristine: {PRISTINE_MOS:.2f}") for name in _turns(names, 0, 5)]
    ]
    for index, kind in enumerate(kinds):
        image = load_photograph(names[index % len(names)])
        rows.append([_everywhere(image, kind, level) for level in LEVELS])
    for index, kind in enumerate(kind for kind in kinds if kind.number in LOCAL_NUMBERS):
        image = load_photograph(names[index % len(names)])
        rows.append([_in_region(image, kind, level) for level in LOCAL_LEVELS])
    tile_height = round(tile_width * first.shape[0] / first.shape[1])
    return _paste(rows, (tile_width, tile_height), lambda image: _middle(image, crop))


def _turns(names: Sequence[str], start: int, count: int) -> list[str]:
    return [names[(start + i) % len(names)] for i in range(count)]


def _everywhere(image: np.ndarray, kind: Distortion, level: int) -> Cell:
    out = distort(image, kind=kind, level=level, rng=np.random.default_rng(level))
    return Image.fromarray(out), f"{kind.number} {kind.name} {level}: {global_mos(kind, level):.2f}"


def _in_region(image: np.ndarray, kind: Distortion, level: int) -> Cell:
    """The image with its region outlined."""
    rng = np.random.default_rng(level)
    region = choose_region(image, REGION_EXTENT, rng)
    shown = Image.fromarray(distort_region(image, kind=kind, level=level, region=region, rng=rng))
    width, height = shown.size
    x1, y1, x2, y2 = (v * s for v, s in zip(region, (width, height, width, height), strict=True))
    ImageDraw.Draw(shown).rectangle((x1 - 1, y1 - 1, x2, y2), outline="yellow")
    mos = region_mos(kind, level, REGION_EXTENT[0] * REGION_EXTENT[1])
    return shown, f"{kind.number} {kind.name} {level}r: {mos:.2f}"


def _middle(image: Image.Image, crop: float) -> Image.Image:
    width, height = image.size
    x, y = width * (1 - crop) / 2, height * (1 - crop) / 2
    return image.crop((round(x), round(y), round(width - x), round(height - y)))


def _paste(
    rows: Sequence[Sequence[Cell]], tile: tuple[int, int], view: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    step = tile[0] + GAP, tile[1] + CAPTION
    sheet = Image.new("RGB", (GAP + step[0] * len(LEVELS), GAP + step[1] * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(min(12, max(6, tile[0] // 22)))
    for y, row in enumerate(rows):
        for x, (image, caption) in enumerate(row):
            shown = ImageOps.contain(view(image), tile, Image.Resampling.LANCZOS)
            corner = GAP + x * step[0], GAP + y * step[1]
            draw.text(corner, caption, fill="black", font=font)
            sheet.paste(shown, (corner[0], corner[1] + CAPTION - GAP))
    return sheet


def main() -> None:
    """Write the sheet to the file that was asked for."""
    parser = argparse.ArgumentParser(description="Write a contact sheet of the embedded set.")
    parser.add_argument("--output", type=Path, required=True, help="file to write, .png or .jpg")
    parser.add_argument("--photographs", nargs="+", default=["wildlife_red_panda"], help="take turns by row")
    parser.add_argument("--types", nargs="+", type=int, default=NUMBERS, choices=NUMBERS, metavar="N", help="1 to 25")
    parser.add_argument("--tile-width", type=int, default=320, help="pixels")
    parser.add_argument("--crop", type=float, default=1.0, help="share of each side shown, from 0 to 1")
    options = parser.parse_args()
    unknown = [name for name in options.photographs if name not in photographs()]
    if unknown:
        parser.error(f"--photographs {' '.join(unknown)}: not shipped; see assets/photographs/ATTRIBUTION.csv")
    if not options.output.parent.is_dir():
        parser.error(f"--output {options.output}: the folder {options.output.parent} does not exist; make it first")
    kinds = [kind for kind in DISTORTIONS if kind.number in options.types]
    sheet = contact_sheet(names=options.photographs, kinds=kinds, tile_width=options.tile_width, crop=options.crop)
    sheet.save(options.output)


if __name__ == "__main__":
    main()
