"""What loaders of images share: batches stay lists of samples, workers use one thread each."""

from __future__ import annotations

from typing import TypeVar

import cv2
import torch

Sample = TypeVar("Sample")


def as_list(samples: list[Sample]) -> list[Sample]:
    """Keep samples as they are: images differ in size and are encoded by the policy."""
    return samples


def single_thread_worker(worker: int) -> None:
    """Several loader workers with several threads each would only wait for one another."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
