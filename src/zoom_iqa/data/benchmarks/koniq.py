"""KonIQ-10k (Hosu et al., TIP 2020): ``koniq10k_distributions_sets.csv`` of the authors' repository.

The score is the mean of the published votes (1-5), which is the scale its standard deviation is on and the one the
usual rescaling (1.096 to 1, 4.310 to 5) refers to. The file's ``MOS`` column is the same study after per-rater
z-scoring on 0-100; it ranks the images almost alike (Spearman 0.992). ``benchmark=koniq_mos`` takes it, because
H-IQA's authors train on it.

The authors' indicators, ``koniq10k_indicators.csv`` of the homepage, are read where they lie beside the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from zoom_iqa.base.errors import ConfigError, DataError
from zoom_iqa.data.benchmarks.label import Label
from zoom_iqa.data.benchmarks.tables import Row, csv_rows, read_rows

Score = Literal["votes", "mos"]
VOTES = ("c1", "c2", "c3", "c4", "c5")
INDICATORS = "koniq10k_indicators.csv"
MEASURED = ("brightness", "contrast", "colorfulness", "sharpness")
"""Columns of that file, beside an ``image_id`` without the suffix; its others are of files, and of deep features."""
SPLIT_OF_SET = {"training": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class KonIQ10k:
    """Reads image_name, vote shares c1..c5, SD, set and MOS; see :class:`~zoom_iqa.data.benchmarks.label.Reader`.

    ``score`` is the mean of the votes, with their standard deviation, or the MOS column, which has none on its scale.

    Raises:
        ConfigError: there is no such score.
    """

    labels: str
    images: str
    score: Score

    def __post_init__(self) -> None:
        if self.score not in get_args(Score):
            raise ConfigError(
                f"benchmark.reader.score={self.score!r}; choose one of {', '.join(get_args(Score))} with its scale, as "
                "benchmark=koniq and benchmark=koniq_mos do"
            )

    def read(self, root: Path) -> list[Label]:
        """10,073 rows: 7,058 train, 1,000 val, 2,015 test."""
        indicators = _indicators(root / INDICATORS)
        columns = (*VOTES, "SD") if self.score == "votes" else ("MOS",)
        rows = csv_rows(root / self.labels, ("image_name", *columns, "set"))
        return read_rows(rows, lambda row: self._label(row, indicators))

    def _label(self, row: Row, indicators: Mapping[str, Mapping[str, float]]) -> Label:
        name, split = row.text("image_name"), row.text("set")
        if split not in SPLIT_OF_SET:
            raise DataError(f"'set' is {split!r}, not one of {', '.join(SPLIT_OF_SET)}")
        score, std = (_mean_vote(row), row.number("SD")) if self.score == "votes" else (row.number("MOS"), None)
        return Label(
            where=row.where,
            id=name,
            image=f"{self.images}/{name}",
            score=score,
            std=std,
            split=SPLIT_OF_SET[split],
            indicators=indicators.get(PurePosixPath(name).stem, {}),
        )


def _mean_vote(row: Row) -> float:
    votes = [row.number(column) for column in VOTES]
    if min(votes) < 0 or sum(votes) == 0:
        raise DataError(f"the votes {votes} are no distribution")
    return sum(level * share for level, share in enumerate(votes, start=1)) / sum(votes)


def _indicators(path: Path) -> dict[str, dict[str, float]]:
    """The published indicators by image, none where the file is not there."""
    if not path.exists():
        return {}

    def read(row: Row) -> tuple[str, dict[str, float]]:
        return PurePosixPath(row.text("image_id")).stem, {name: row.number(name) for name in MEASURED}

    return dict(read_rows(csv_rows(path, ("image_id", *MEASURED)), read))
