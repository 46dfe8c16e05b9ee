"""How fast the embedded set makes images: CPU milliseconds by type, and images a second by loader workers.

python experiments/embedded_set/throughput.py > experiments/embedded_set/results.csv
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.distortions import DISTORTIONS, distort
from zoom_iqa.data.embedded.dead_leaves import dead_leaves
from zoom_iqa.data.embedded.photographs import load_photograph
from zoom_iqa.data.embedded.region import augment

IMAGES = 600


def milliseconds(call: Callable[[], object], repeats: int = 15) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))


def main() -> None:
    single_thread_worker(0)
    cv2.setNumThreads(0)
    rng = np.random.default_rng(0)
    image = load_photograph("wildlife_red_panda")
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["what", "number", "value", "unit"])
    for kind in DISTORTIONS:
        per_level = [milliseconds(partial(distort, image, kind=kind, level=v, rng=rng)) for v in (1, 3, 5)]
        table.writerow([kind.name, kind.number, f"{np.mean(per_level):.1f}", "ms"])
    palette = image.reshape(-1, 3)
    scene = milliseconds(lambda: dead_leaves(width=512, height=384, palette=palette, rng=rng))
    table.writerow(["dead_leaves", "", f"{scene:.1f}", "ms"])
    table.writerow(["augment", "", f"{milliseconds(lambda: augment(image, rng)):.1f}", "ms"])
    data = instantiate(OmegaConf.load("conf/data/embedded.yaml").train)
    start = time.process_time()
    for index in range(IMAGES):
        data[index]
    table.writerow(["training image", "", f"{1e3 * (time.process_time() - start) / IMAGES:.1f}", "ms"])
    for workers in (0, 1, 2):
        loader = DataLoader(
            data, batch_size=16, num_workers=workers, collate_fn=as_list, worker_init_fn=single_thread_worker
        )
        batches = iter(loader)
        next(batches)  # start-up and the first reading of photographs do not count
        start, made = time.perf_counter(), 0
        while made < IMAGES:
            made += len(next(batches))
        table.writerow(["training images", workers, f"{made / (time.perf_counter() - start):.0f}", "images/s"])
        del batches


if __name__ == "__main__":
    main()
