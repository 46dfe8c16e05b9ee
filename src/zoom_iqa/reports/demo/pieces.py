"""The parts of the page that change while a policy looks, as HTML. Texts of models are shown as text."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from zoom_iqa.base.errors import ZoomIQAError
from zoom_iqa.base.printable import printable
from zoom_iqa.evaluation.assessment import Assessment, CloserLook, Expected, Unfinished
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.reports.cards import look_said, place_said
from zoom_iqa.reports.overlays import colour, with_boxes
from zoom_iqa.reports.pictures import encoded
from zoom_iqa.tasks.format import paragraphs
from zoom_iqa.tasks.tools.crop import cut
from zoom_iqa.tasks.verdict import VERDICTS, word_for

SIDE, QUALITY = 900, 85
"""Of the pictures on the page."""
_LOW, _HIGH = 1.0, 5.0
_LIVE = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})  # Gradio's page fills templates


@dataclass(frozen=True, kw_only=True)
class Panel:
    """All that is said of one image: HTML of the rating or what happens now, of the pictures and of the turns."""

    status: str = ""
    pictures: str = ""
    turns: str = ""
    expected: Expected | None = None


def told(assessor: ImageAssessor, path: str) -> Iterator[Panel]:
    """The panel of the image in a file, again after each token; the last one has the rating, or what is wrong."""
    name = Path(path).name
    try:
        image = assessor.view(path)
        album = _Album(name, image)
        for said in assessor.watch(image):
            yield _panel(said, album)
    except ZoomIQAError as error:
        yield Panel(status=problem(str(error).replace(path, name)))


def problem(text: str) -> str:
    """Something wrong, in one line."""
    return f'<p class="problem" role="alert">{as_text(text)}</p>'


def compared(left: Expected | None, right: Expected | None) -> str:
    """The one of two images that is judged better, once both are; their spreads say how sure that is."""
    if left is None or right is None:
        return ""
    gap, spread = right.mean - left.mean, (left.std**2 + right.std**2) ** 0.5
    means = f"expected ratings {left.mean:.2f} and {right.mean:.2f}"
    if abs(gap) < spread:
        said = f"Too close to call: {means} differ by {abs(gap):.2f}, which is less than their spread of {spread:.2f}."
    else:
        side = "right" if gap > 0 else "left"
        said = f"The {side} one is judged better by {abs(gap):.2f}: {means}, spread of the difference {spread:.2f}."
    return f'<p class="compared" role="status">{said}</p>'


def as_text(text: str) -> str:
    """Lines of a text of any origin that neither a browser nor a template takes for anything else."""
    lines = "\n".join(printable(line) for line in text.split("\n"))
    return html.escape(lines).translate(_LIVE)


class _Album:
    """The image with its boxes and the crops beside it; drawn again only when there is one more."""

    def __init__(self, name: str, image: Image.Image) -> None:
        self._name, self._image = name, image
        self._drawn: dict[int, list[str]] = {}

    def figures(self, looks: Sequence[CloserLook], *, finished: bool) -> str:
        if len(looks) not in self._drawn:
            thickness = max(3, max(self._image.size) // 120)
            marked = with_boxes(self._image, [look.box for look in looks], thickness=thickness)
            self._drawn[len(looks)] = [encoded(marked, SIDE, QUALITY)] + [
                encoded(cut(self._image, look.box), SIDE, QUALITY) for look in looks
            ]
        whole, *crops = self._drawn[len(looks)]
        width, height = self._image.size
        seen = f"{as_text(self._name)}, seen by the policy as {width} × {height} pixels"
        parts = [f'<figure><img src="{whole}" alt="the image"><figcaption>{seen}</figcaption></figure>']
        for number, (look, source) in enumerate(zip(looks, crops, strict=True)):
            changed = finished or look.after is not None
            place = look_said(look) if changed else f"{place_said(look)}: looking closer"
            parts.append(
                f'<figure class="crop" style="--frame:{colour(number)}"><img src="{source}" alt="crop {number + 1}">'
                f"<figcaption>crop {number + 1}, enlarged; {place}</figcaption></figure>"
            )
        return f'<div class="pictures">{"".join(parts)}</div>'


def _panel(said: Unfinished | Assessment, album: _Album) -> Panel:
    finished = isinstance(said, Assessment)
    turns = [
        _turn(number, text, labels=said.labels(number), looks=said.looks, written=finished or number < last)
        for last in (len(said.texts) - 1,)
        for number, text in enumerate(said.texts)
    ]
    return Panel(
        status=_rating(said) if isinstance(said, Assessment) else _busy(said),
        pictures=album.figures(said.looks, finished=finished),
        turns="".join(turns),
        expected=said.expected if isinstance(said, Assessment) else None,
    )


def _busy(said: Unfinished) -> str:
    turn = len(said.texts)
    doing = "looks at the image" if turn == 1 else "looks again, with the crop" if said.looks else "goes on"
    return f'<p class="busy">Turn {turn}: the policy {doing} …</p>'


def _rating(said: Assessment) -> str:
    if said.rating is None or said.verdict is None:
        return problem(f"no rating could be read from what the policy wrote ({said.failure})")
    parts = [
        f'<p class="rating"><b>{said.rating:.2f}</b> <span class="word">{said.verdict}</span> '
        f"<small>on 1 ({VERDICTS[0]}) to 5 ({VERDICTS[-1]})</small></p>"
    ]
    if said.expected is not None:
        mean, std = said.expected.mean, said.expected.std
        parts.append(_scale(said.rating, said.expected))
        parts.append(
            f'<p class="expected">Expected rating <b>{mean:.2f}</b> ({word_for(mean)}), spread <b>{std:.2f}</b>: '
            "the mean and the standard deviation of all ratings it might have written here.</p>"
        )
    return "".join(parts)


def _scale(rating: float, expected: Expected) -> str:
    low, high = _percent(expected.mean - expected.std), _percent(expected.mean + expected.std)
    words = "".join(f"<span>{number} {word}</span>" for number, word in enumerate(VERDICTS, 1))
    label = f"rating {rating:.2f}, expected {expected.mean:.2f} with a spread of {expected.std:.2f}"
    return (
        f'<div class="scale" role="img" aria-label="{label}"><div class="track">'
        f'<i class="band" style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<i class="mean" style="left:{_percent(expected.mean):.1f}%"></i>'
        f'<i class="dot" style="left:{_percent(rating):.1f}%"></i></div><div class="words">{words}</div></div>'
    )


def _percent(rating: float) -> float:
    return 100 * (min(_HIGH, max(_LOW, rating)) - _LOW) / (_HIGH - _LOW)


def _turn(number: int, text: str, *, labels: Sequence[str], looks: Sequence[CloserLook], written: bool) -> str:
    seen = "the image" if number == 0 else "the image and its crop" if looks else "no crop"
    caret = "" if written else '<i class="caret"></i>'
    found = paragraphs(text, labels)
    if found:
        rows = "".join(f"<dt>{as_text(label)}</dt><dd>{as_text(said)}</dd>" for label, said in found.items())
        answer = text.partition("<answer>")[2].partition("</answer>")[0]
        body = f"<dl>{rows}</dl><code>{as_text(answer)}</code>{caret}"
    else:
        body = f"<pre>{as_text(text)}{caret}</pre>"
    return f'<section class="turn"><h3>Turn {number + 1}: {seen}</h3>{body}</section>'
