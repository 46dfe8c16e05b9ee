"""Names that others import from here; the code lies in ``zoom_iqa.tasks``."""
