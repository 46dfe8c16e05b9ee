"""The page itself: one image, or two side by side; each is judged in its turn while the page shows how."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio

from zoom_iqa.evaluation.assessment import Expected
from zoom_iqa.evaluation.assessor import ImageAssessor
from zoom_iqa.reports.demo.examples import EXAMPLES, PAIRS, written
from zoom_iqa.reports.demo.pieces import Panel, as_text, compared, told

REFRESH_S = 0.1
"""Between two states of the page."""
STYLE = files("zoom_iqa.reports.demo").joinpath("style.css").read_text(encoding="utf-8")
ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "policy", "concurrency_limit": 1, "trigger_mode": "multiple"}
SUFFIXES = [".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".ppm", ".pgm"]
INTRODUCTION = (
    "<p>The policy rates the technical quality of a photograph. It looks at the whole image and says what it sees; "
    "where it wants to look closer it asks for a crop, gets it, and decides. Drop an image, or click an example.</p>"
)

Updates = tuple[Any, ...]
Judge = Callable[[str], Iterator[Updates]]


def page(assessor: ImageAssessor, *, policy: str, folder: Path) -> gradio.Blocks:
    """The page for a policy of this name; pictures of examples are put into ``folder``."""
    with gradio.Blocks(title="zoom_iqa", analytics_enabled=False, delete_cache=(3600, 3600)) as made:
        gradio.HTML(f"<h1>zoom_iqa: it looks before it judges</h1>{INTRODUCTION}", elem_classes="zq")
        with gradio.Tab("One image"):
            _one_image(assessor, folder)
        with gradio.Tab("Two images"):
            _two_images(assessor, folder)
        gradio.HTML(f"<p><small>Policy: {as_text(policy)}. Images stay on this machine.</small></p>", elem_classes="zq")
    made.queue(default_concurrency_limit=1, max_size=32)
    return made


def _one_image(assessor: ImageAssessor, folder: Path) -> None:
    paths = written(EXAMPLES, folder)
    with gradio.Row():
        with gradio.Column(scale=2, min_width=280):
            drop = _drop("Drop an image here")
            gradio.HTML("<h3>Or click an example</h3>", elem_classes="zq")
            gallery = gradio.Gallery(
                [(str(path), example.caption) for path, example in zip(paths, EXAMPLES, strict=True)],
                show_label=False,
                columns=2,
                elem_classes="examples",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                buttons=[],
            )
        with gradio.Column(scale=5, min_width=420):
            panel = _panel()

    def judge_example(chosen: gradio.SelectData) -> Iterator[Updates]:
        yield from _updates(assessor, str(paths[chosen.index]))

    _on(drop.upload, _judge(assessor), [drop], [drop, *panel])
    _on(gallery.select, judge_example, None, [drop, *panel])


def _two_images(assessor: ImageAssessor, folder: Path) -> None:
    gradio.HTML("<h3>Click a pair, or drop two images</h3>", elem_classes="zq")
    with gradio.Row():
        buttons = [gradio.Button(f"{left.caption} | {right.caption}", size="sm") for left, right in PAIRS]
    comparison = gradio.HTML(elem_classes="zq")
    sides = []
    with gradio.Row():
        for place in ("left", "right"):
            with gradio.Column(min_width=320):
                sides.append((_drop(f"Drop the {place} image here"), _panel()))
    states = [panel[-1] for _, panel in sides]
    for drop, panel in sides:
        judged = _on(drop.upload, _judge(assessor, beside=1), [drop], [drop, *panel, comparison])
        judged.then(compared, states, comparison, show_progress="hidden", api_visibility="private")
    for button, pair in zip(buttons, PAIRS, strict=True):
        after: Any = None
        for path, (drop, panel) in zip(written(pair, folder), sides, strict=True):
            begin = button.click if after is None else after.then
            after = _on(begin, _judge(assessor, path=str(path), beside=1), None, [drop, *panel, comparison])
        after.then(compared, states, comparison, show_progress="hidden", api_visibility="private")


def _on(begin: Callable[..., Any], judge: Any, inputs: Any, outputs: Sequence[Any]) -> Any:
    quiet = {"show_progress": "minimal", "api_visibility": "private"}
    return begin(judge, inputs, list(outputs), **ONE_AT_A_TIME, **quiet)


def _drop(label: str) -> gradio.File:
    gradio.HTML(f"<h3>{label}</h3>", elem_classes="zq")
    return gradio.File(show_label=False, label=label, file_types=SUFFIXES, height=130)


def _panel() -> list[Any]:
    status, pictures, turns = (gradio.HTML(elem_classes="zq") for _ in range(3))
    return [status, pictures, turns, gradio.State(None)]


def _judge(assessor: ImageAssessor, *, path: str | None = None, beside: int = 0) -> Judge:
    """Judges the file that is given, or always the same."""

    def uploaded(given: str) -> Iterator[Updates]:
        yield from _updates(assessor, given, beside=beside)

    def fixed() -> Iterator[Updates]:
        yield from _updates(assessor, str(path), beside=beside)

    return uploaded if path is None else fixed  # type: ignore[return-value]


def _updates(assessor: ImageAssessor, path: str, *, beside: int = 0) -> Iterator[Updates]:
    """For the place to drop, which is emptied, and the panel: what has changed, at most so often.

    ``beside`` further parts of the page, about what was judged before, are emptied at the start.
    """
    shown, at = Panel(), 0.0
    yield None, "", "", "", None, *[""] * beside
    last = shown
    for last in told(assessor, path):
        if time.monotonic() - at >= REFRESH_S:
            yield *_changes(shown, last), *[gradio.skip()] * beside
            shown, at = last, time.monotonic()
    yield *_changes(shown, last), *[gradio.skip()] * beside


def _changes(shown: Panel, now: Panel) -> Updates:
    pairs = ((shown.status, now.status), (shown.pictures, now.pictures), (shown.turns, now.turns))
    expected: Expected | None = now.expected
    return gradio.skip(), *(gradio.skip() if old == new else new for old, new in pairs), expected
