"""Is evaluation limited by the policy or by loading? Images a second of the loader alone and of a whole evaluation.

python experiments/loading/loading.py benchmark=livewild_jpeg split=train > experiments/loading/results.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import DataLoader

from zoom_iqa.base.types import rated_example
from zoom_iqa.config.evaluated_images import evaluated_images
from zoom_iqa.config.evaluation_run import compose_config
from zoom_iqa.data.collation import as_list, single_thread_worker
from zoom_iqa.data.datasets import BenchmarkImages, ImageDataset
from zoom_iqa.evaluation.evaluator import Evaluator

BATCH = 16
LARGE = (1024, 768)  # the size of KonIQ-10k's photographs, and the most pixels an evaluation looks at
PHONE = (4000, 3000)  # as SPAQ's: reduced while decoding
LIMIT = 192


def enlarged(images: ImageDataset, size: tuple[int, int], folder: Path) -> BenchmarkImages:
    """The same photographs as JPEG files of another size."""
    items = []
    for index in range(len(images)):
        sample = images[index]
        path = folder / f"{index}.jpg"
        sample.image.resize(size, Image.Resampling.BICUBIC).save(path, quality=92)
        items.append(rated_example(id=str(index), dataset="enlarged", mos=sample.example.mos, path=str(path)))
    return BenchmarkImages(items=items, max_pixels=LARGE[0] * LARGE[1], upright=True)


def loaded_a_second(images: ImageDataset, workers: int) -> float:
    """As the evaluator loads, from the first batch on: starting the workers is paid once, whatever the number."""
    as_dataset: Any = images  # it has what a loader asks for, and does not derive from torch's class
    loader: DataLoader[Any] = DataLoader(
        as_dataset, batch_size=BATCH, num_workers=workers, collate_fn=as_list, worker_init_fn=single_thread_worker
    )
    batches = iter(loader)
    next(batches)
    count, start = 0, time.perf_counter()
    for batch in batches:
        count += len(batch)
    return count / (time.perf_counter() - start)


def main() -> None:
    single_thread_worker(0)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["what", "workers", "images", "images_per_second"])
    cfg = compose_config([*sys.argv[1:], f"machine.evaluation_batch_size={BATCH}"])
    OmegaConf.resolve(cfg)
    (node,) = cfg.benchmarks.values()
    items = evaluated_images(instantiate(node), cfg).items()
    photographs = BenchmarkImages(items=items[:LIMIT], max_pixels=cfg.max_pixels, upright=cfg.upright)
    with tempfile.TemporaryDirectory() as folder:
        large, phone = (Path(folder) / part for part in ("large", "phone"))
        large.mkdir()
        phone.mkdir()
        small = BenchmarkImages(items=items[:48], max_pixels=cfg.max_pixels, upright=cfg.upright)
        sets = {
            "loader, as published": photographs,
            f"loader, {LARGE[0]}x{LARGE[1]}": enlarged(photographs, LARGE, large),
            f"loader, {PHONE[0]}x{PHONE[1]}": enlarged(small, PHONE, phone),
        }
        for what, images in sets.items():
            for workers in (0, 1, 2):
                table.writerow([what, workers, len(images), f"{loaded_a_second(images, workers):.1f}"])
        policy = instantiate(cfg.policy)
        for workers in (0, 1, 2):
            evaluator: Evaluator = instantiate(cfg.evaluator)(dataset=photographs, workers=workers)
            start = time.perf_counter()
            predictions = evaluator.run(policy, path=Path(folder) / f"{workers}.jsonl", title=None)
            wall = time.perf_counter() - start
            engine = sum(prediction.seconds for prediction in predictions)
            table.writerow(["engine alone", workers, len(predictions), f"{len(predictions) / engine:.1f}"])
            table.writerow(["evaluation, all included", workers, len(predictions), f"{len(predictions) / wall:.1f}"])


if __name__ == "__main__":
    main()
