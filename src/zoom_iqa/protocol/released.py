"""How the released evaluation reads answers and cuts crops; the code lies in ``zoom_iqa.tasks.released``."""

from zoom_iqa.tasks.released import crop_box, read_rating, requests_crop

__all__ = ["crop_box", "read_rating", "requests_crop"]
