"""Tables of README.md: `study.py curves RUNS`, `study.py draw RUNS SEED`, `study.py sft RUNS`.

curves: `filters.csv`, how often each filter refuses each fate; `thresholds.csv` and `thresholds.png`, precision and
recall over thresholds; `tiny.csv`, the same of the shipped policy's trajectories.
draw: a random choice of the unfiltered trajectories, as many as the filtered ones.
sft: `sft.csv`, agreement after SFT by seed.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from hydra.utils import instantiate

from zoom_iqa.base.defects import DEFECTS, distortion_named
from zoom_iqa.base.record_files import RecordFile
from zoom_iqa.base.records import Record, RecordCodec, by_image
from zoom_iqa.base.types import Mos
from zoom_iqa.config.curation_run import compose_config
from zoom_iqa.curation.agreement import NearMos
from zoom_iqa.curation.verdicts import Verdict, VerdictCodec, chosen
from zoom_iqa.curation.verification import Verification, VerificationCodec, VisualReliance
from zoom_iqa.reports.kept import add_rows
from zoom_iqa.reports.rendering import mean_and_spread

HERE = Path(__file__).parent
SPREADS = ("0.0", "0.05", "0.1", "0.2")
RATINGS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)
IOUS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TOLERANCES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
Fates = Mapping[str, str]
Key = tuple[str, str]


def main() -> None:
    match sys.argv[1:]:
        case ["curves", runs]:
            curves(Path(runs))
        case ["draw", runs, seed]:
            draw(Path(runs), int(seed))
        case ["sft", runs]:
            sft(Path(runs))
        case other:
            sys.exit(f"{other}: give curves RUNS, draw RUNS SEED or sft RUNS")


def curves(runs: Path) -> None:
    fates = _fates()
    filters = [
        row for name in (*(f"spread_{s}" for s in SPREADS), "sentences") for row in _refusals(runs / name, fates)
    ]
    _write("filters.csv", ["run", "step", "sound", "ungrounded", "contradiction"], filters)
    rows: list[list[Any]] = []
    for spread in SPREADS:
        found = RecordFile(runs / f"spread_{spread}" / "vrf.jsonl", VerificationCodec()).read()
        rows += [["vrf rating", spread, t, *_vrf(found, fates, _test(rating=t))] for t in RATINGS if t > 0]
        if spread == SPREADS[0]:  # boxes are the same for all
            rows += [["vrf box", "any", t, *_vrf(found, fates, _test(iou=t))] for t in IOUS]
        for when in ("any", "all"):
            both = VisualReliance(refuse_when=when, rating=0.05, iou=0.5, entropy=None)
            rows.append([f"vrf {when}", spread, 0.05, *_vrf(found, fates, both)])
    records = _chosen(runs / "spread_0.1")
    for tolerance in TOLERANCES:
        refused = [NearMos(tolerance=tolerance).reason_of(one) is not None for one in records.values()]
        for fault in ("contradiction", "ungrounded"):
            faulty = [fates[one.example.name] == fault for one in records.values()]
            rows.append([f"hacf near_mos, {fault}", "0.1", tolerance, *_scores(refused, faulty)])
    header = ["test", "spread", "threshold", "precision", "recall", "refused", "of"]
    _write("thresholds.csv", header, rows)
    _plot(rows)
    _tiny(runs / "tiny")


def draw(runs: Path, seed: int) -> None:
    """As many trajectories at random as the filters keep, all turns of each."""
    kept = len({_trajectory(line) for line in _lines(runs / "spread_0.1" / "sft_train.jsonl")})
    lines = _lines(runs / "unfiltered" / "sft_train.jsonl")
    names = list(dict.fromkeys(map(_trajectory, lines)))
    taken = set(random.Random(seed).sample(names, kept))
    path = runs / "unfiltered" / f"sft_random_seed{seed}.jsonl"
    path.write_text("".join(line + "\n" for line in lines if _trajectory(line) in taken), encoding="utf-8")


def sft(runs: Path) -> None:
    """Figures of every finished run, and their means over seeds with the spread."""
    figures = ("srcc_single", "srcc", "plcc", "srcc_expected", "rmse", "crop_rate", "format_rate")
    rows = []
    for folder in sorted((runs / "sft").glob("*_seed*")):
        if (folder / "metrics.json").exists():
            (found,) = json.loads((folder / "metrics.json").read_text(encoding="utf-8")).values()
            name, _, seed = folder.name.partition("_seed")
            rows.append([name, seed, *(round(found[figure], 4) for figure in figures)])
    add_rows(HERE / "sft.csv", ["data", "seed", *figures], [list(map(str, row)) for row in rows], keys=2)
    for name in dict.fromkeys(row[0] for row in rows):
        columns = list(zip(*(row[2:] for row in rows if row[0] == name), strict=True))
        said = [f"{figure} {mean_and_spread(values)}" for figure, values in zip(figures, columns, strict=True)]
        print(f"{name} ({len(columns[0])} seeds): " + ", ".join(said))


def _fates() -> Fates:
    """What the generator has written of each image: the same for every spread, as its draws are apart."""
    cfg = compose_config(["--config-dir", str(HERE / "conf"), "generator=faulty", "size=tiny", "out=unused"])
    fates: Fates = instantiate(cfg.generator).fates
    return fates


def _refusals(folder: Path, fates: Fates) -> list[list[Any]]:
    verdicts: Sequence[Verdict] = RecordFile(folder / "verdicts.jsonl", VerdictCodec()).read()
    rows = []
    for step in ("vrf", "hacf", None):
        counts = dict.fromkeys(("sound", "ungrounded", "contradiction"), 0)
        for one in verdicts:
            counts[fates[f"{one.dataset}:{one.id}"]] += one.step == step
        rows.append([folder.name, step or "kept", *counts.values()])
    return rows


def _test(*, rating: float | None = None, iou: float | None = None) -> VisualReliance:
    return VisualReliance(refuse_when="any", rating=rating, iou=iou, entropy=None)


def _vrf(found: Iterable[Verification], fates: Fates, vrf: VisualReliance) -> list[Any]:
    """Of the ungrounded among those about which the tests have their values."""
    known = [one for one in found if vrf.alike(one)]
    refused = [vrf.reason(one) is not None for one in known]
    return _scores(refused, [fates[f"{one.dataset}:{one.id}"] == "ungrounded" for one in known])


def _scores(refused: Sequence[bool], faulty: Sequence[bool]) -> list[Any]:
    """Precision, recall, how many are refused, and of how many."""
    hits = sum(r and f for r, f in zip(refused, faulty, strict=True))
    precision = round(hits / sum(refused), 4) if any(refused) else ""
    recall = round(hits / sum(faulty), 4) if any(faulty) else ""
    return [precision, recall, sum(refused), len(refused)]


def _chosen(folder: Path) -> dict[Key, Record]:
    attempts = by_image(RecordFile(folder / "trajectories.jsonl", RecordCodec()).read())
    return {key: chosen(own) for key, own in attempts.items()}


def _tiny(folder: Path) -> None:
    """The shipped policy: what `near_mos` refuses against whether the words name the true family of defects."""
    records = [one for one in _chosen(folder).values() if isinstance(one.example.target, Mos)]
    wrong = [not _names_the_family(one) for one in records]
    rows = []
    for tolerance in TOLERANCES:
        refused = [NearMos(tolerance=tolerance).reason_of(one) is not None for one in records]
        rows.append([tolerance, *_scores(refused, wrong)])
    _write("tiny.csv", ["tolerance", "precision", "recall", "refused", "of"], rows)
    verified = RecordFile(folder / "vrf.jsonl", VerificationCodec()).read()
    readable = [
        sum(getattr(one, name).rating is not None for one in verified) for name in ("with_image", "without_image")
    ]
    print(
        f"tiny policy: {len(records)} trajectories, {sum(wrong)} name a defect of another family; of {len(verified)} "
        f"answers to VRF's questions {readable[0]} can be read with the image, {readable[1]} without it"
    )


def _names_the_family(record: Record) -> bool:
    truth = record.example.truth
    assert truth is not None, "the embedded set knows what it made"
    named = distortion_named(record.steps[-1].text)
    if truth.distortion is None or named is None:
        return named is None and truth.distortion is None
    return DEFECTS[named].family == DEFECTS[truth.distortion].family


def _plot(rows: Sequence[Sequence[Any]]) -> None:
    figure, panels = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
    marks: list[tuple[str, str, Callable[[Sequence[Any]], bool]]] = [
        ("VRF, ratings alike below", "rating difference", lambda row: row[0] == "vrf rating"),
        ("VRF, boxes alike above", "intersection over union", lambda row: row[0] == "vrf box"),
        ("HACF near_mos", "tolerance", lambda row: str(row[0]).startswith("hacf")),
    ]
    for panel, (title, label, belongs) in zip(panels, marks, strict=True):
        own = [row for row in rows if belongs(row)]
        for number, name in enumerate(dict.fromkeys((row[0], row[1]) for row in own)):
            line = [row for row in own if (row[0], row[1]) == name and row[3] != ""]
            said = f"spread {name[1]}" if "vrf" in name[0] else name[0].rpartition(", ")[2]
            thresholds = [row[2] for row in line]
            panel.plot(thresholds, [row[3] for row in line], "-o", ms=3, color=f"C{number}", label=f"precision, {said}")
            panel.plot(thresholds, [row[4] for row in line], "--x", ms=3, color=f"C{number}", label=f"recall, {said}")
        panel.set(title=title, xlabel=label, ylim=(0, 1.02))
        panel.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(HERE / "thresholds.png", dpi=90)


def _write(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (HERE / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _trajectory(line: str) -> str:
    """The id without its turn."""
    name: str = json.loads(line)["id"]
    return name.rpartition("/")[0]


if __name__ == "__main__":
    main()
