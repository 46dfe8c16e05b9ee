"""The crop policy, under the name that others import; the code lies in ``zoom_iqa.tasks.tools.crop``."""

from zoom_iqa.tasks.tools.crop import crop_box, crop_image

__all__ = ["crop_box", "crop_image"]
