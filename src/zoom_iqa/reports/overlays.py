"""The picture of an assessment: the image with a box for each crop and each evidence, and the crops beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from zoom_iqa.base.printable import printable
from zoom_iqa.base.types import Box
from zoom_iqa.data.metadata import OVERLAY, exif_of, made_by
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.reports.cards import WORDS_LIMIT, look_said
from zoom_iqa.reports.files import check_folder, numbered, told_if_unwritable, write_image
from zoom_iqa.tasks.tools.crop import cut
from zoom_iqa.tasks.tools.zoom import zoom_box

COLOURS = ("#e4002b", "#0085ca", "#00a651", "#f7a600")
"""Of boxes and of the frames of their crops, in order and again from the first."""

EVIDENCE_COLOUR = "#d000d0"
MARGIN = 12
BACKGROUND, INK = "white", "black"
LEAST_HEIGHT = 240


def overlay(image: Image.Image, assessment: Assessment) -> Image.Image:
    """``image`` as it was looked at, its rating under it; boxes of crops on it, the crops in a column beside it; boxes
    of evidence dashed.

    A crop is drawn as the policy saw it: enlarged within the image's own size.
    """
    scale = max(1.0, LEAST_HEIGHT / image.height)
    looks = assessment.looks
    bare = _resized(image, scale)
    thickness = max(2, bare.height // 150)
    shown = with_boxes(bare, [_scaled(look.box, scale) for look in looks], thickness=thickness)
    crops = [_resized(cut(image, look.box), scale) for look in looks]
    font = ImageFont.load_default(max(12.0, shown.height / 28))
    line = round(font.getbbox("Ag")[3] * 1.6) if isinstance(font, ImageFont.FreeTypeFont) else 2 * MARGIN
    stacked = _stacked(crops, height=shown.height, line=line)
    captions = [f"crop {number}: {look_said(look)}" for number, look in enumerate(looks, 1)]
    title = titled(assessment)
    texts = [_text_width(text, font) for text in captions]
    column = max([0, *(crop.width for crop in stacked), *texts])
    height = max(shown.height + line, sum(crop.height + line for crop in stacked) + MARGIN * max(0, len(stacked) - 1))
    width = 2 * MARGIN + max(shown.width, _text_width(title, font)) + (MARGIN + column if stacked else 0)
    canvas = Image.new("RGB", (width, height + 2 * MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(shown, (MARGIN, MARGIN))
    draw.text((MARGIN, MARGIN + shown.height + line // 5), title, fill=INK, font=font)
    for one in assessment.evidence or ():
        box = zoom_box(one.bbox, *image.size)
        if not isinstance(box, str):  # a box outside the image has no place on it
            _dashed(draw, [round(end * scale) + MARGIN for end in box], width=thickness)
    top, left = MARGIN, width - MARGIN - column
    for number, (crop, caption) in enumerate(zip(stacked, captions, strict=True)):
        canvas.paste(crop, (left, top))
        frame = (left, top, left + crop.width - 1, top + crop.height - 1)
        draw.rectangle(frame, outline=colour(number), width=thickness)
        draw.text((left, top + crop.height + line // 5), caption, fill=INK, font=font)
        top += crop.height + line + MARGIN
    return canvas


def with_boxes(image: Image.Image, boxes: Sequence[Box], *, thickness: int) -> Image.Image:
    """A copy of ``image`` with lines of so many pixels around each box of it, in the colours of crops."""
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=colour(number), width=thickness)
    return marked


def colour(number: int) -> str:
    """That of the box and the frame of a crop, which are counted from 0."""
    return COLOURS[number % len(COLOURS)]


def _scaled(box: Box, scale: float) -> Box:
    x1, y1, x2, y2 = (round(end * scale) for end in box)
    return x1, y1, x2, y2


def titled(assessment: Assessment) -> str:
    """The rating as the picture says it; of several answers it is their mean, and one of them is drawn."""
    if assessment.rating is None:
        return f"unreadable: {assessment.failure}"
    named = [f"{one.severity} {one.defect}".strip() for one in assessment.evidence or ()]
    defects = f": {printable(', '.join(named), limit=WORDS_LIMIT)}" if named else ""
    count = len(assessment.records)
    several = f" (mean of {count} answers, one of which is drawn)" if count > 1 else ""
    return f"{assessment.rating:.2f} {assessment.verdict}{several}{defects}"


def _dashed(draw: ImageDraw.ImageDraw, box: Sequence[int], *, width: int) -> None:
    """The outline of a box, as pieces of line with gaps as long."""
    x1, y1, x2, y2 = box
    step = 6 * width
    for start in range(x1, x2, 2 * step):
        for y in (y1, y2 - 1):
            draw.line((start, y, min(start + step, x2), y), fill=EVIDENCE_COLOUR, width=width)
    for start in range(y1, y2, 2 * step):
        for x in (x1, x2 - 1):
            draw.line((x, start, x, min(start + step, y2)), fill=EVIDENCE_COLOUR, width=width)


def _stacked(crops: Sequence[Image.Image], *, height: int, line: int) -> list[Image.Image]:
    """Crops that fill a column of about ``height`` together, captions included, none larger than it was."""
    if not crops:
        return []
    room = max(line, (height - (len(crops) - 1) * (line + MARGIN)) // len(crops))
    return [_resized(crop, min(1.0, room / crop.height)) for crop in crops]


def _resized(image: Image.Image, scale: float) -> Image.Image:
    if scale == 1.0:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def _text_width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return round(font.getlength(text))


class OverlayFolder:
    """A folder that gets a PNG for each assessment, under its image's name; images of one name are numbered.

    Files that are there stay, but overlays of earlier calls: the folder may be that of the photographs.

    Raises:
        OutputError: the folder cannot be made, or takes no files.
    """

    def __init__(self, folder: Path, *, view: Callable[[str], Image.Image]) -> None:
        self._folder, self._view = folder, view
        self._taken: set[str] = set()
        with told_if_unwritable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        check_folder(folder)

    def write(self, assessment: Assessment) -> None:
        """Draw one, from its source.

        Raises:
            ImageError: the source cannot be read any more.
            OutputError: the file cannot be written.
        """
        name = next(filter(self._is_free, numbered(Path(assessment.source).stem)))
        self._taken.add(name)
        picture = overlay(self._view(assessment.source), assessment)
        write_image(picture, self._path(name), exif=exif_of(software=OVERLAY))

    def _is_free(self, name: str) -> bool:
        path = self._path(name)
        return name not in self._taken and (not os.path.lexists(path) or made_by(path) == OVERLAY)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.png"
