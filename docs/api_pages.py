"""The API reference: a page for each room of the package, and one for what can be run, made as the site is built."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).resolve().parents[1] / "src" / "zoom_iqa"
RUN = "run"


def pages() -> dict[str, str]:
    """The Markdown of every page by the name of its room."""
    roots = sorted(path.stem for path in SOURCE.glob("[!_]*.py"))
    rooms = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))
    made = {RUN: "\n".join([f"# {RUN}", *(f"\n## {name}\n\n::: zoom_iqa.{name}" for name in roots)])}
    return made | {room: f"# {room}\n\n::: zoom_iqa.{room}" for room in rooms}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages under one title of the navigation."""
    assert config.nav is not None, "mkdocs.yml lists the written pages"
    config.nav.append({"API": [{name: f"api/{name}.md"} for name in pages()]})
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages to those on disk."""
    for name, text in pages().items():
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files
