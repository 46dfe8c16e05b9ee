"""SRIQA-Bench (Chen, Wu, Ma, Zhang: Toward Generalized Image Quality Assessment, CVPR 2025), as it is published.

100 photographs, each degraded and enlarged again by ten super-resolution methods, two regression-based and eight
generation-based; ten people compared all pairs of the eleven images of a photograph, the original included.

    images/<method>/<photograph>_<method>x4.png     or images/<method>x4/..., as the authors' code reads them
    images/Original/<photograph>_Original.png
    LRImages/<photograph>_Original.png              the degraded input
    MOS/<photograph>.txt                            lines "<name>.png,<score>", 0-100; MOS_Reg and MOS_Gen: of some
    labels/<person>/<photograph>/<pair>.json        {"Picture_01": {"Name", "Label"}, "Picture_02": {...}}

A label is Positive, Negative or Similar. This is the layout that the authors' repository states and reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoom_iqa.base.errors import DataError
from zoom_iqa.base.targets import Choice
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, read_rows
from zoom_iqa.data.text_files import parse_json, read_lines, read_text

ORIGINAL = "Original"
REGRESSION = ("SwinIR", "RealESRNet")
"""The regression-based methods, as folders of ``images`` name them; all others are generation-based."""
LABELS = {"Positive": 1, "Similar": 0, "Negative": -1}
"""A person's label of one of two pictures, and its order."""
PICTURES = ("Picture_01", "Picture_02")

Votes = dict[frozenset[str], list[tuple[str, str, Choice]]]
"""By the names of two images: what each person said, the first and the second name with the choice between them."""


@dataclass(frozen=True, kw_only=True)
class SRIQAScores:
    """Reads the scores of every ``*.txt`` of the labels folder; see :class:`~zoom_iqa.data.benchmarks.label.Reader`."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """1,100 rows: eleven images of each of 100 photographs."""
        files = sorted((root / self.labels).glob("*.txt"))
        if not files:
            raise DataError(f"{root / self.labels} holds no .txt file; unpack the MOS folder there")
        return [label for file in files for label in self._labels(file, root)]

    def _labels(self, file: Path, root: Path) -> list[Label]:
        def label(row: Row) -> Label:
            name = row.text("image").strip().removesuffix(".png")
            photograph, method = method_of(name, photograph=file.stem)
            folders = [method, name.partition("_")[2]]  # the authors' text has the first, their code the second
            places = [f"{self.images}/{folder}/{name}.png" for folder in folders]
            return Label(
                where=row.where,
                id=name,
                image=next((place for place in places if (root / place).is_file()), places[0]),
                score=row.number("score"),
                reference=photograph,
            )

        return read_rows(_score_rows(file), label)


def method_of(name: str, *, photograph: str | None = None) -> tuple[str, str]:
    """The photograph and the method of an image, ``x1_SwinIRx4``: x1 and SwinIR.

    Raises:
        DataError: the name is of another form, or of another photograph than the one given.
    """
    source, underscore, method = name.partition("_")
    stem, times, factor = method.rpartition("x")
    method = stem if times and factor.isdigit() else method
    if not underscore or not source or not method or photograph not in (None, source):
        wanted = "PHOTOGRAPH_METHODx4" if photograph is None else f"{photograph}_METHODx4 or {photograph}_{ORIGINAL}"
        raise DataError(f"{name!r} is no name of an image here; {wanted} is one")
    return source, method


def kind_of(first: str, second: str) -> str | None:
    """The group of methods that two images belong to, by their methods; the original belongs to both.

    So A-FINE's authors group them: MOS_Reg and MOS_Gen hold the original beside the methods of a group. The published
    figures are shares of 3 and 36 pairs a photograph, not of 1 and 28: 85.67 % are 257 of 300. None for a pair across.
    """
    methods = {first, second} - {ORIGINAL}
    if methods <= set(REGRESSION):
        return "regression"
    return None if methods & set(REGRESSION) else "generation"


def read_votes(root: Path, known: Mapping[str, str]) -> Votes:
    """People's votes on each pair; ``known`` names the images there are, with their photographs.

    As A-FINE's authors read them: the picture with the better label is preferred, equal labels are similar.

    Raises:
        DataError: there are none, or files cannot be used: an unknown picture, a label that is none, another form; all
            are listed.
    """
    files = sorted(root.glob("*/*/*.json"))
    if not files:
        raise DataError(f"{root} holds no PERSON/PHOTOGRAPH/PAIR.json; unpack the labels there, or use truth=mos")
    votes: Votes = {}
    odd: list[str] = []
    for file in files:
        try:
            first, second, choice = _vote(file, known)
        except DataError as error:
            odd.append(f"{file.relative_to(root)}: {error}")
            continue
        votes.setdefault(frozenset((first, second)), []).append((first, second, choice))
    if odd:
        raise DataError(
            f"{len(odd)} of {len(files)} label files below {root} cannot be used; correct or remove them", odd
        )
    return votes


def _vote(file: Path, known: Mapping[str, str]) -> tuple[str, str, Choice]:
    value = parse_json(read_text(file))
    names: list[str] = []
    orders: list[int] = []
    for key in PICTURES:
        picture = value.get(key) if isinstance(value, dict) else None
        if not isinstance(picture, dict):
            raise DataError(f"there is no {key}")
        name, label = str(picture.get("Name")).removesuffix(".png"), picture.get("Label")
        if name not in known:
            raise DataError(f"{key}.Name is {picture.get('Name')!r}, which has no score")
        if label not in LABELS:
            raise DataError(f"{key}.Label is {label!r}; one of {', '.join(LABELS)} is needed")
        names.append(name)
        orders.append(LABELS[label])
    first, second = names
    if first == second or known[first] != known[second] or known[first] != file.parent.name:
        raise DataError(f"{first} and {second} are no two images of {file.parent.name}")
    if orders[0] == orders[1]:
        return first, second, "Similar"
    return first, second, "Image A" if orders[0] > orders[1] else "Image B"


def _score_rows(file: Path) -> Iterator[Row]:
    for number, line in read_lines(file):
        image, _, score = line.strip().partition("," if "," in line else " ")
        yield Row(f"{file.name}:{number}", {"image": image, "score": score.strip()})
