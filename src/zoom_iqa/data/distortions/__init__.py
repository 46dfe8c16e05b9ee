"""KADID-10k's distortions: ``distort(image, kind=..., level=..., rng=...)`` and the registry ``DISTORTIONS``."""

from zoom_iqa.data.distortions.registry import DISTORTIONS, IDENTITIES, NAMED, Distortion, distort

__all__ = ["DISTORTIONS", "IDENTITIES", "NAMED", "Distortion", "distort"]
