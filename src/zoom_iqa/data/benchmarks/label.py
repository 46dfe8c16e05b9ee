"""The content of a label file about one image, as published: before rescaling, splitting or looking for the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Label:
    """One published row.

    ``where`` is file and line, for messages. ``image`` is relative to the benchmark's root. ``score`` and ``std`` are
    on the native scale. ``reference`` names the pristine source; ``subject`` what the image shows where there is no
    such source but several images of one thing. ``split`` is train, val or test where the publisher says so.
    ``indicators`` are further published properties of the image, by name.
    """

    where: str
    id: str
    image: str
    score: float
    std: float | None = None
    reference: str | None = None
    subject: str | None = None
    split: str | None = None
    indicators: Mapping[str, float] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """The content that must stay in one split: the reference, else the subject, else the image alone."""
        return self.reference or self.subject or self.id


class Reader(Protocol):
    """Reads one publisher's layout; ``labels`` (file or folder) and ``images`` (folder) are relative to the root."""

    labels: str
    images: str

    def read(self, root: Path) -> list[Label]:
        """Every published row, in the file's order.

        Raises:
            DataError: a column is missing, or cells cannot be read (all such rows are listed).
        """
        ...
