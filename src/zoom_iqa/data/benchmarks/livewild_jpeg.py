"""The JPEG part of LIVE In the Wild: 627 of its 1,162 photographs, 122 of them a fixed test split of this project."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from zoom_iqa.base.atomic_files import whole_text_file
from zoom_iqa.base.errors import DataError
from zoom_iqa.data.benchmarks.livewild import LIVEWild

# fmt: off
TEST = frozenset(f"{number}.JPG" for number in (
    536, 547, 550, 554, 560, 564, 566, 567, 574, 578, 579, 586, 588, 592, 602, 604, 612, 615, 616, 619, 620, 624,
    626, 637, 642, 647, 656, 680, 681, 685, 686, 689, 693, 699, 701, 706, 713, 723, 726, 730, 734, 737, 740, 742,
    744, 760, 765, 769, 770, 772, 773, 776, 777, 784, 787, 801, 804, 817, 818, 822, 823, 825, 834, 835, 840, 844,
    846, 859, 862, 864, 870, 873, 874, 884, 903, 907, 912, 921, 922, 927, 930, 931, 941, 951, 953, 961, 970, 985,
    987, 993, 999, 1001, 1003, 1008, 1009, 1013, 1014, 1015, 1027, 1029, 1039, 1041, 1047, 1049, 1054, 1058, 1061,
    1065, 1071, 1081, 1096, 1109, 1111, 1115, 1119, 1131, 1134, 1139, 1144, 1146, 1148, 1154,
))
# fmt: on
"""The test split; every other JPEG is of train."""


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """A line of ``livec_jpg.csv``; score and standard deviation on 0-100, to six decimals."""

    image: str
    mos: str
    std: str
    split: str


def jpeg_rows(release: Path) -> list[ManifestRow]:
    """The rows of the release's JPEG files, in its order.

    Raises:
        DataError: the three files of ``Data/`` are missing, damaged or of another release.
    """
    labels = [one for one in LIVEWild(labels="Data", images="Images").read(release) if one.id.endswith(".JPG")]
    missing = sorted(TEST - {label.id for label in labels})
    if missing:
        raise DataError(f"{release / 'Data'} lacks {len(missing)} images of the test split; download it again", missing)
    return [
        ManifestRow(
            image=label.id,
            mos=f"{label.score:.6f}",
            std=f"{label.std:.6f}",
            split="test" if label.id in TEST else "train",
        )
        for label in labels
    ]


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write what ``benchmark=livewild_jpeg`` reads."""
    with whole_text_file(path) as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(ManifestRow)])
        writer.writerows(map(astuple, rows))
