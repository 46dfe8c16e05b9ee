"""A page that shows an image before and after a refinement: one file, nothing fetched, texts shown as text."""

from __future__ import annotations

import base64
import html
import io

from PIL import Image

from zoom_iqa.base.printable import printable
from zoom_iqa.evaluation.assessment import Assessment, Expected
from zoom_iqa.evaluation.refinement import Refinement
from zoom_iqa.reports.numbers import rating_said
from zoom_iqa.tasks.guidance import Guidance
from zoom_iqa.tasks.verdict import word_for

LONGEST_SIDE = 1400
JPEG_QUALITY = 92

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.3em}h2{font-size:1.05em;margin-top:1.8em}.both{position:relative;line-height:0}
.both img{width:100%;display:block}.both img+img{position:absolute;top:0;left:0;clip-path:inset(0 0 0 var(--cut))}
.both{--cut:50%}input[type=range]{width:100%;margin:.6em 0}.ends{display:flex;justify-content:space-between}
table{border-collapse:collapse}td,th{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd}
td.n{text-align:right}.kept{font-weight:600}pre{white-space:pre-wrap;background:#f5f5f5;padding:.6em}
"""
_SCRIPT = "this.previousElementSibling.style.setProperty('--cut',this.value+'%')"


def before_after_page(before: Image.Image, refinement: Refinement, guidance: Guidance) -> str:
    """The HTML: both images under a slider, their ratings and paragraphs, every edit that was tried, the prompts."""
    start, best = refinement.start, refinement.best
    name = html.escape(printable(start.source))
    parts = [
        f"<h1>{name}</h1><p>{_said(refinement)}</p>",
        f'<div class="both">{_picture("before", before)}{_picture("after", refinement.image)}</div>',
        f'<input type="range" aria-label="border between before and after" value="50" oninput="{_SCRIPT}">',
        f'<div class="ends">{_rating("before", refinement.start_read)}{_rating("after", refinement.best_read)}</div>',
        f"<h2>Edits that were tried</h2>{_rounds(refinement)}",
        f"<h2>Said before</h2>{_paragraphs(start)}<h2>Said after</h2>{_paragraphs(best)}",
        f"<h2>Prompts</h2><pre>{html.escape(guidance.prompt.text or '(none)')}</pre>",
    ]
    if guidance.negative is not None:
        parts.append(f"<p>Negative:</p><pre>{html.escape(guidance.negative.text or '(none)')}</pre>")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    return f"{head}<body data-ready>{''.join(parts)}</body></html>\n"


def _said(refinement: Refinement) -> str:
    if not refinement.kept:
        return "Nothing that was tried is judged better: this is the input."
    return f"Judged {abs(refinement.gain):.2f} {'better' if refinement.gain >= 0 else 'worse'}."


def _rating(when: str, read: Expected) -> str:
    verdict = word_for(read.mean)
    return f"<span>{when}: expected rating {read.mean:.2f} ({verdict}, spread {read.std:.2f})</span>"


def _rounds(refinement: Refinement) -> str:
    if not refinement.rounds:
        return "<p>None: no issue was named that this editor repairs.</p>"
    rows = []
    for number, turn in enumerate(refinement.rounds, 1):
        best = max((mean for _, mean in turn.tried if mean is not None), default=None)
        for name, mean in turn.tried:
            again = rating_said(turn.read) if mean is not None and mean == best and turn.read is not None else ""
            kept = "kept" if name == turn.kept else ""
            rows.append(
                f'<tr class="{kept}"><td>{number}</td><td>{html.escape(name)}</td>'
                f'<td class="n">{rating_said(mean)}</td><td class="n">{again}</td><td>{kept}</td></tr>'
            )
    head = "<tr><th>turn</th><th>edit</th><th>expected rating</th><th>read again</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _paragraphs(assessment: Assessment) -> str:
    found = assessment.paragraphs[-1] or {"text": assessment.shown.steps[-1].text}
    rows = (f"<tr><th>{html.escape(label)}</th><td>{html.escape(text)}</td></tr>" for label, text in found.items())
    return f"<table>{''.join(rows)}</table>"


def _picture(name: str, image: Image.Image) -> str:
    return f'<img alt="{name}" src="{_data(image)}">'


def _data(image: Image.Image) -> str:
    """The image in the page itself, reduced where it is large."""
    shown = image.copy()
    shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    shown.save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
