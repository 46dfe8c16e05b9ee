"""Reading a generated answer, under the name that others import; the code lies in ``zoom_iqa.tasks.answer``."""

from zoom_iqa.tasks.answer import parse_answer, read_rating

__all__ = ["parse_answer", "read_rating"]
