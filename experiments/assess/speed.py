"""Images a second of assessments and of the evaluator, over the same files with the same policy and settings.

python experiments/assess/speed.py > experiments/assess/results.csv
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

import zoom_iqa
from zoom_iqa.base.types import rated_example
from zoom_iqa.config.assessor import Assessor, assessor_config
from zoom_iqa.data.datasets import BenchmarkImages
from zoom_iqa.evaluation.assessment import Assessment
from zoom_iqa.evaluation.evaluator import Evaluator

ROUNDS = 5
PHOTOGRAPHS = Path(zoom_iqa.__file__).parent / "assets" / "photographs"


def main() -> None:
    torch.set_num_threads(1)
    files = sorted(map(str, PHOTOGRAPHS.glob("*.jpg")))
    assessor = Assessor(device="cpu", workers=0)
    first = [one for one in assessor.assess_many(files) if isinstance(one, Assessment)]
    # under the same ids and data set both draw the same question wordings, so the work is the same
    items = [
        rated_example(id=one.records[0].example.id, dataset=one.records[0].example.dataset, mos=3.0, path=one.source)
        for one in first
    ]
    cfg = assessor_config(["device=cpu", "machine.workers=0"])
    parts = instantiate(cfg.assessor).keywords
    evaluator = Evaluator(
        dataset=BenchmarkImages(items=items, max_pixels=parts["max_pixels"], upright=parts["upright"]),
        task=parts["task"],
        engine=parts["engine"],
        sampling=parts["sampling"],
        features_capacity=parts["features_capacity"],
        batch_size=parts["batch_size"],
        samples_per_image=1,
        workers=0,
        seed=parts["seed"],
        probes={},
    )
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["round", "what", "images", "wall_s", "cpu_s", "images_per_cpu_second"])
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            policy = Assessor(device="cpu", workers=0).policy  # new ones: a policy keeps the images it has prepared
            run = partial(evaluator.run, policy, path=Path(folder) / f"{number}.jsonl", title=None)
            evaluated = timed(table, number, "evaluator", len(items), run)
            assess = partial(Assessor(device="cpu", workers=0).assess_many, files)
            assessed = timed(table, number, "assessor", len(items), assess)
            assert [one.rating for one in evaluated] == [one.rating for one in assessed]
            assert [one.expected.mean for one in evaluated] == [one.expected.mean for one in assessed]


def timed(table: Any, number: int, what: str, images: int, work: Callable[[], Any]) -> Any:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    table.writerow([number, what, images, f"{wall:.2f}", f"{cpu:.2f}", f"{images / cpu:.1f}"])
    sys.stdout.flush()
    return result


if __name__ == "__main__":
    main()
