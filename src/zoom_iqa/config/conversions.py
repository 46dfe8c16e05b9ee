"""What ``zoom_iqa.data convert NAME SOURCE OUT`` can turn into files that this package reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from zoom_iqa.base.errors import ConfigError
from zoom_iqa.config.go_on import command, quoted
from zoom_iqa.data import q_reasoning
from zoom_iqa.data.benchmarks.check import Finding, finding_text
from zoom_iqa.data.benchmarks.livewild_jpeg import jpeg_rows, write_manifest
from zoom_iqa.data.references import Reference, write_references
from zoom_iqa.reports.files import told_if_unwritable

LIVEWILD_JPEG = "livec_jpg.csv"
"""The name in the root of benchmark=livewild_jpeg."""


def convert(arguments: Sequence[str]) -> None:
    """Write what is published in the layout that is read here, and print what was found.

    Raises:
        ConfigError: the arguments are wrong.
        DataError: the files cannot be used.
        OutputError: OUT cannot be written.
    """
    if len(arguments) != 4 or arguments[0] != "convert" or arguments[1] not in CONVERSIONS:
        raise ConfigError(f"usage: {usage()}")
    source, out = (Path(argument).expanduser() for argument in arguments[2:])
    if out.is_dir():
        raise ConfigError(f"OUT={out} is a folder; name a file to write")
    CONVERSIONS[arguments[1]](source, out)


def usage() -> str:
    """The command line of every conversion."""
    return f"python -m zoom_iqa.data convert {'|'.join(CONVERSIONS)} SOURCE OUT"


def _q_reasoning(source: Path, out: Path) -> None:
    converted = q_reasoning.convert(source)
    with _new_file(out, sources=converted.files):
        write_references(out, converted.references)
    print(f"Q-Reasoning from {', '.join(map(str, converted.files))}")
    counts = Counter((one.dataset, one.split or "no split") for one in converted.references)
    images = Counter((dataset, split) for dataset, split, _ in {_image(one) for one in converted.references})
    for (dataset, split), texts in sorted(counts.items()):
        summaries = sum(_image(one)[:2] == (dataset, split) and one.annotator is None for one in converted.references)
        print(f"  {dataset:<10} {split}: {images[dataset, split]:,} images, {texts:,} texts, {summaries:,} summaries")
    for title, rows in converted.notes.items():
        print(finding_text(Finding(title, rows, False)))
    print(f"  written    {len(converted.references):,} references to {out}; use them with data.references={out}")
    print(f"  source     {q_reasoning.HOMEPAGE} (states no licence: keep the texts to yourself)")


def _image(reference: Reference) -> tuple[str, str, str]:
    return reference.dataset, reference.split or "no split", reference.file


def _livewild_jpeg(source: Path, out: Path) -> None:
    rows = jpeg_rows(source)
    with _new_file(out, sources=source.glob("Data/*")):
        write_manifest(out, rows)
    counts = Counter(row.split for row in rows)
    print(f"LIVE In the Wild, JPEG part, from {source}")
    print(f"  written    {len(rows):,} images (train {counts['train']:,}, test {counts['test']:,}) to {out}")
    look = ["check", "benchmark=livewild_jpeg", f"root={quoted(str(source))}"]
    if out.resolve() != (source / LIVEWILD_JPEG).resolve():
        look.append(f"reader.labels={quoted(str(out.resolve()))}")
    print(f"  look       {command('zoom_iqa.data', look)}")


@contextmanager
def _new_file(out: Path, *, sources: Iterable[Path]) -> Iterator[None]:
    """Within the block ``out`` can be written: it is no source, and its folder is there."""
    if out.resolve() in {path.resolve() for path in sources}:
        raise ConfigError(f"OUT={out} is a source; name a file to write")
    with told_if_unwritable(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        yield


CONVERSIONS: Mapping[str, Callable[[Path, Path], None]] = {
    "q-reasoning": _q_reasoning,
    "livewild-jpeg": _livewild_jpeg,
}
