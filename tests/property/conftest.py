"""Hypothesis for a shared, busy machine: the same examples every run, and no limit on a single example's time."""

from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")
