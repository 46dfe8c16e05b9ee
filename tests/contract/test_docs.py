"""Documentation that can be checked is: its prose, its links, the paths it names, versions, citation and licences."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "zoom_iqa"
PATTERNS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "experiments/*/README.md",
    "src/zoom_iqa/assets/**/*.md",
)
PAGES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
WIDTH = 100

END_INSIDE = re.compile(r"[a-z0-9)`\"'%*][.!?][)\"*]* +[A-Z`*\"(\[]")
"""The end of a sentence and the begin of the next; initials of names have a capital before their full stop."""
NUMBERED = re.compile(r"^\s*\d+\. ")
QUESTION_WORD = re.compile(r"^\s*(?:[-*#>]+ |\d+\. )?(?:\*\*)?(?:What|Whose|Where)\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
A_PATH = re.compile(r"[\w.]+(?:/[\w.]+)*/[\w.]+\.(?:py|yaml|md|csv|json|sh|svg|toml)")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines outside code fences and tables."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.lstrip().startswith("|"):
            yield number, line


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


pages = pytest.mark.parametrize("page", PAGES, ids=named)


@pages
def test_prose_is_at_most_100_columns_wide(page: Path) -> None:
    wide = [number for number, line in prose(page) if len(line) > WIDTH and "](" not in line and "://" not in line]
    assert not wide


@pages
def test_a_line_holds_one_sentence_at_most(page: Path) -> None:
    several = [line for _, line in prose(page) if END_INSIDE.search(NUMBERED.sub("", line))]
    assert not several


@pages
def test_no_sentence_begins_with_a_question_word_for_a_noun(page: Path) -> None:
    assert not [line for _, line in prose(page) if QUESTION_WORD.match(line)]


@pages
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for _, line in prose(page) for target in LINK.findall(line) if "://" not in target]
    broken = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert not broken


@pages
def test_paths_that_are_named_exist(page: Path) -> None:
    """From the repository's root, from the package, or from the page's folder; capitals stand for a folder of yours."""
    spans = [span for line in page.read_text(encoding="utf-8").splitlines() for span in CODE.findall(line)]
    paths = [span for span in spans if A_PATH.fullmatch(span) and not span.partition("/")[0].isupper()]
    places = (ROOT, PACKAGE, page.parent)
    assert not [path for path in paths if not any((place / path).exists() for place in places)]


def project() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def released() -> dict[str, str]:
    """Versions of the changelog with their dates."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", text, re.MULTILINE))


def test_the_changelog_begins_with_what_is_unreleased_and_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(.*?)\]", text, re.MULTILINE)[0] == "Unreleased"
    assert project()["version"] in released()
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}  # Keep a Changelog 1.1.0


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format requires
    assert citation["cff-version"] == "1.2.0"
    assert all(author.keys() <= {"name", "family-names", "given-names", "orcid"} for author in citation["authors"])
    assert citation["version"] == project()["version"]
    assert citation["date-released"] == released()[citation["version"]]
    assert citation["license"] == project()["license"]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()


def test_licences_of_photographs_are_counted_by_kind() -> None:
    with (PACKAGE / "assets" / "photographs" / "ATTRIBUTION.csv").open(encoding="utf-8", newline="") as file:
        there = Counter(row["licence"] for row in csv.DictReader(file))
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Licences\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([\w. -]+) \| (\d+) \|$", section, re.MULTILINE)
    assert {kind: int(count) for kind, count in rows} == there


AXES = re.compile(r"\b_?[a-z][a-z0-9_]*_([A-Z][A-Za-z0-9]{0,4})\b")


def test_the_glossary_has_every_letter_of_shapes_in_every_room_that_uses_it() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z]) \| ((?:`\w+` ?)+) \|", text, re.MULTILINE)
    listed = {(letter, room) for letter, rooms in rows for room in CODE.findall(rooms)}
    used = {
        (letter, path.relative_to(PACKAGE).parts[0])
        for path in PACKAGE.glob("*/**/*.py")
        for axes in AXES.findall(path.read_text(encoding="utf-8").replace("do_POST", ""))  # a name of http.server's
        for letter in axes
        if letter.isupper()
    }
    assert listed == used


def test_the_layout_in_the_readme_is_that_of_the_package() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Layout\n")[2].partition("\n## ")[0]
    rooms = set(re.findall(r"^src/zoom_iqa/(\w+)/ ", text, re.MULTILINE))
    assert rooms == {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    (programs,) = re.findall(r"^src/zoom_iqa/\*\.py +programs: (.*)$", text, re.MULTILINE)
    assert sorted(programs.split(", ")) == sorted(path.stem for path in PACKAGE.glob("[!_]*.py"))


def test_the_walk_of_one_image_runs_as_written() -> None:
    page = ROOT / "docs" / "architecture.md"
    kept, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        inside = line == "```python" if fence else inside
        kept.append(line if inside and not fence else "")  # so that tracebacks name the page's own lines
    assert sum(line.startswith("assert") for line in kept) >= 10
    exec(compile("\n".join(kept), str(page), "exec"), {})
