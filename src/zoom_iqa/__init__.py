"""Train, ablate and evaluate image quality assessment models that look before they judge."""

__version__ = "0.1.0"
