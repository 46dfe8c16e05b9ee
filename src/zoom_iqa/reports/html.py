"""Pages that need nothing else: templates, style and scripts of reports/page in one text, and data that stay data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from zoom_iqa.base.printable import printable
from zoom_iqa.reports.findings import Finding
from zoom_iqa.reports.numbers import ends_said


def filled(template: str, *, title: str, scripts: Sequence[str], **parts: str) -> str:
    """A page: style, a template with title and parts in its places, all of them HTML, and these scripts."""
    code = "\n".join(f"<script>{_resource(name)}</script>" for name in scripts)
    body = Template(_resource(template)).substitute(title=title, **parts)
    frame = Template(_resource("frame.html"))
    return frame.substitute(title=title, style=_resource("page.css"), body=body, scripts=code)


def as_script_text(data: object) -> str:
    """JSON that stays inside a script element, whatever texts it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def finding_item(finding: Finding) -> str:
    """A finding as an item of a list."""
    return f'<li class="{finding.kind}">{escape(printable(finding.text))}</li>'


def note_items(notes: Sequence[str]) -> str:
    """Notes as items of a list."""
    return "\n".join(f"<li>{escape(printable(note))}</li>" for note in notes)


def table_cell(figures: Mapping[str, Any], key: str) -> str:
    """A figure as text, with its interval where it has one."""
    value, interval = figures.get(key), figures.get(f"{key}_interval")
    if isinstance(value, float):
        return f"{value:.3f} {_ends(interval)}" if isinstance(interval, Mapping) else f"{value:.3f}"
    if isinstance(value, Mapping) and "low" in value:
        return _ends(value)
    if isinstance(value, Mapping):
        parts = {name: f"{part:.3f}" if isinstance(part, float) else part for name, part in value.items()}
        return ", ".join(f"{name} {part}" for name, part in parts.items() if part) or "none"  # counts of 0 say nothing
    return "" if value is None else printable(f"{value:,}" if isinstance(value, int) else str(value))


def _ends(interval: Mapping[str, Any]) -> str:
    return ends_said(interval["low"], interval["high"])


def _resource(name: str) -> str:
    return files("zoom_iqa.reports").joinpath(f"page/{name}").read_text(encoding="utf-8")
